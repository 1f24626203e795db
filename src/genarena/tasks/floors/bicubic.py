"""Upsampling by bicubic interpolation: the cubic spline through all pixels, along rows and along columns (Unser 1999, doi
10.1109/79.799930). Beyond its edge the image is mirrored.

Of the methods called bicubic it loses the least detail: the four-pixel ones, with a = -3/4 or -1/2, are .1 and .5 dB below it
on MNIST of half the side.
"""

import torch
from torch import Tensor

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem


class Bicubic(Floor):
    """For means of blocks: each is taken for the value in the middle of its block."""

    name = "bicubic"
    paper = "10.1109/79.799930"

    def fits(self, operator: Operator, sigma: float) -> bool:
        return isinstance(operator, BlockMean)

    def restore(self, problem: Problem, strength: float) -> Tensor:
        return enlarged(problem.y.double(), problem.operator.k)


def enlarged(y: Tensor, k: int) -> Tensor:
    """Images (N, C, H, W) to (N, C, k H, k W)."""
    rows, columns = (weights(side, k) for side in y.shape[-2:])
    return rows @ y @ columns.T


def weights(side: int, k: int) -> Tensor:
    """(k side, side) float64: the spline through `side` values, at the middles of k times as many. Rows sum to 1."""
    at_pixels = _splines(torch.arange(side, dtype=torch.float64), side)
    between = _splines((torch.arange(k * side, dtype=torch.float64) + 0.5) / k - 0.5, side)
    return torch.linalg.solve(at_pixels, between, left=False)


def _splines(places: Tensor, side: int) -> Tensor:
    """(len(places), side) the B-splines of all pixels, and of their mirror images, at the places."""
    found = torch.zeros(len(places), side, dtype=torch.float64)
    for tap in range(-1, 3):
        pixel = places.floor() + tap
        inside = pixel.long() % (2 * side)
        inside = torch.minimum(inside, 2 * side - 1 - inside)  # 0, 1, ..., side - 1, side - 1, ..., 1, 0 and again
        found.scatter_add_(1, inside[:, None], _spline(places - pixel)[:, None])
    return found


def _spline(s: Tensor) -> Tensor:
    """The cubic B-spline, 0 from a distance of 2 on."""
    s = s.abs()
    return torch.where(s < 1, 2 / 3 - s**2 + s**3 / 2, (2 - s).clamp_min(0) ** 3 / 6)
