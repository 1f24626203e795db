"""Inpainting by the biharmonic equation: in the hole, Laplace Laplace x = 0 (thin plates; Damelin & Hoang 2018, doi
10.1155/2018/3950312).

It is the smoothest completion: the minimiser of |Laplace x|^2 with the measured pixels as they are. The Laplacian is that of
the grid of pixels, without a flow over the edge of the image.
"""

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem


class Biharmonic(Floor):
    """For masks. An image of which nothing is measured becomes NaN."""

    name = "biharmonic"
    paper = "10.1155/2018/3950312"

    def fits(self, operator: Operator, sigma: float) -> bool:
        return bool(operator.known.any()) and not bool(operator.known.all())

    def restore(self, problem: Problem, strength: float) -> Tensor:
        known = problem.operator.known.expand(problem.shape)
        planes = inpaint(problem.y.double().flatten(0, 1), known.flatten(0, 1))
        return planes.unflatten(0, problem.shape[:2])


def inpaint(y: Tensor, known: Tensor) -> Tensor:
    """Planes (N, H, W) with what is not known (N, H, W) filled in. One factorisation for all planes with the same mask."""
    square = biharmonic(*y.shape[1:])
    x = y.flatten(1).numpy().copy()
    masks, mask_of = known.flatten(1).unique(dim=0, return_inverse=True)
    for number, mask in enumerate(masks.numpy()):
        hole, rows = np.flatnonzero(~mask), np.flatnonzero((mask_of == number).numpy())
        if not mask.any():
            x[rows] = np.nan
        elif len(hole):
            off = -square[hole][:, np.flatnonzero(mask)] @ x[rows][:, mask].T
            x[np.ix_(rows, hole)] = splu(square[hole][:, hole].tocsc()).solve(off).T
    return torch.from_numpy(x).view_as(y)


def biharmonic(height: int, width: int) -> sparse.csr_matrix:
    """L^T L (HW, HW) for the Laplacian L of the grid."""
    across, down = (_second_differences(side) for side in (width, height))
    laplacian = sparse.kron(sparse.eye(height), across) + sparse.kron(down, sparse.eye(width))
    return (laplacian.T @ laplacian).tocsr()


def _second_differences(side: int) -> sparse.csr_matrix:
    steps = sparse.diags([-np.ones(side - 1), np.ones(side - 1)], [0, 1], shape=(side - 1, side))
    return steps.T @ steps
