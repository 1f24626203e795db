"""Denoising by total variation (Rudin, Osher & Fatemi 1992, doi 10.1016/0167-2789(92)90242-F).

The minimiser is x = y - weight div p, for the field p with |p| <= 1 that minimises |y - weight div p|^2 (Chambolle 2004, doi
10.1023/B:JMIV.0000011325.36760.1e). p is found by projected gradient steps with momentum (Beck & Teboulle 2009, doi
10.1109/TIP.2009.2028250, algorithm FGP): after k steps the dual objective is off by less than a constant over k^2.

Differs from the paper: the number of steps is fixed, so that no image depends on the others of its batch; each channel is an
image of its own.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem

STEP, NUM_STEPS = 0.125, 100  # the largest step, 1 / |div|^2: theorem 3.1 of Chambolle 2004


class TotalVariation(Floor):
    """For denoising. strength: the weight of the total variation."""

    name = "total_variation"
    paper = "10.1023/B:JMIV.0000011325.36760.1e"
    settings = {"step": STEP, "num_steps": NUM_STEPS}

    def fits(self, operator: Operator, sigma: float) -> bool:
        return bool(operator.known.all())

    def strengths(self, sigma: float) -> Sequence[float]:
        return [sigma * 0.1 * 1.25**k for k in range(17)]

    def restore(self, problem: Problem, strength: float) -> Tensor:
        return denoise(problem.y, strength)


def denoise(y: Tensor, weight: float, num_steps: int = NUM_STEPS) -> Tensor:
    """argmin_x TV(x) + |x - y|^2 / (2 weight) of images (N, C, H, W), isotropic TV, forward differences."""
    return y - weight * divergence(*dual(y, weight, num_steps)) if weight > 0 else y


def dual(y: Tensor, weight: float, num_steps: int = NUM_STEPS) -> tuple[Tensor, Tensor]:
    """The field p (down, right), each (N, C, H, W), with |p| <= 1."""
    p = ahead = (torch.zeros_like(y), torch.zeros_like(y))
    momentum = 1.0
    for _ in range(num_steps):
        slope = gradient(divergence(*ahead) - y / weight)
        down, right = (part + STEP * change for part, change in zip(ahead, slope, strict=True))
        length = torch.hypot(down, right).clamp_min(1.0)
        before, p = p, (down / length, right / length)
        last, momentum = momentum, 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
        ahead = tuple(new + (last - 1.0) / momentum * (new - old) for new, old in zip(p, before, strict=True))
    return p


def gradient(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences down and right (N, C, H, W), 0 at the last row and column."""
    return functional.pad(x.diff(dim=-2), (0, 0, 0, 1)), functional.pad(x.diff(dim=-1), (0, 1))


def divergence(down: Tensor, right: Tensor) -> Tensor:
    """The negative adjoint of `gradient`: sum(divergence(p) x) = -sum(p gradient(x)). The last row and column do not count."""
    down, right = down[..., :-1, :], right[..., :-1]
    along = functional.pad(down, (0, 0, 0, 1)) - functional.pad(down, (0, 0, 1, 0))
    return along + functional.pad(right, (0, 1)) - functional.pad(right, (1, 0))


def total_variation(x: Tensor) -> Tensor:
    """(N,) the sum of the lengths of the gradient."""
    return torch.hypot(*gradient(x)).flatten(1).sum(1)
