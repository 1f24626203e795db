"""Moment-matching posterior sampling (Rozet, Andry, Lanusse & Louppe 2024, arXiv 2405.13712).

Differs from the paper: the products of the last solution with the Jacobian are put together from those that the solver made,
which saves one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.options.values import Count
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.guided import AnySampler

NEW = 1e-5  # the least share of a product that must be new, above the rounding of float32


@dataclass(frozen=True)
class MMPS(AnySampler):
    """D_y = D + V A^T (sigma^2 I + A V A^T)^-1 (y - A D), V = V[x_0 | x] = (s^2 / a) J: the mean of the Gaussian posterior.

    Draws are exact for Gaussian data as the steps grow. num_iterations: of the solver, one product with the Jacobian each.
    Facts: `residual`, the norm of what the solver left over that of the right side, mean over steps.
    """

    name = "mmps"
    exactness = "heuristic"
    paper = "2405.13712"

    num_iterations: Count = 3

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        x_0, product = prior.linearised(x, level)
        variance, operator, right = level.s**2 / level.a, problem.operator, problem.residual(x_0)

        def covariance(v: Tensor) -> Tensor:
            return variance * product(operator.adjoint(v))

        change, left = solved(covariance, operator, problem.sigma**2, right, self.num_iterations)
        prior.note("residual", left.flatten(1).norm(dim=1) / right.flatten(1).norm(dim=1).clamp_min(1e-30))
        return x_0 + change


def solved(
    covariance: Callable[[Tensor], Tensor], operator: Callable[[Tensor], Tensor], noise: float, right: Tensor, num: int
) -> tuple[Tensor, Tensor]:
    """B v and r - (A B + noise I) v for the v of the Krylov space of `num` products that makes the latter smallest, lane by
    lane: GMRES, in the form of generalised conjugate residuals (Eisenstat, Elman & Schultz 1983, doi 10.1137/0720023).

    A lane whose Krylov space does not grow any more has its solution, and stays.
    covariance: B = V A^T, of observations (N, ...). operator: A. right: r.
    """
    change, left, directions = 0.0, right, []
    for _ in range(num):
        moved = covariance(left)
        image = operator(moved) + noise * left
        least = NEW * dot(image, image).sqrt()
        for earlier, its_move in directions:
            share = dot(image, earlier)
            image, moved = image - share * earlier, moved - share * its_move
        scale = dot(image, image).sqrt()
        inverse = torch.where(scale > least, 1.0 / scale, 0.0)
        image, moved = image * inverse, moved * inverse
        step = dot(left, image)
        change, left = change + step * moved, left - step * image
        directions.append((image, moved))
    return change, left


def dot(u: Tensor, v: Tensor) -> Tensor:
    """The inner product of each lane, (N, 1, ...)."""
    return (u * v).flatten(1).sum(1).view(-1, *[1] * (u.dim() - 1))
