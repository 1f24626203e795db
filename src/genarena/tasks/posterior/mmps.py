"""Moment-matching posterior sampling (Rozet, Andry, Lanusse & Louppe 2024, arXiv 2405.13712).

Differs from the paper: the solver starts with the direction of the solution at the level before, which changes little between
levels, so that iterations add up; and the products of the solution with the Jacobian are put together from those that the
solver made, which saves one of them.
"""

from collections.abc import Callable, Sequence
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

    Draws are exact for Gaussian data as the steps grow. num_iterations: of the solver, one product with the Jacobian each; with
    one alone each level starts anew.
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

        start = [prior.kept] if prior.kept is not None and self.num_iterations > 1 else []
        prior.kept, change, left = solved(covariance, operator, problem.sigma**2, right, self.num_iterations, start)
        prior.note("residual", left.flatten(1).norm(dim=1) / right.flatten(1).norm(dim=1).clamp_min(1e-30))
        return x_0 + change


def solved(
    covariance: Callable[[Tensor], Tensor],
    operator: Callable[[Tensor], Tensor],
    noise: float,
    right: Tensor,
    num: int,
    first: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """v, B v and r - (A B + noise I) v, for the v that makes the last one smallest, lane by lane, among the sums of `num`
    directions: those of `first`, then what was left each time. Without `first` it is GMRES, as generalised conjugate residuals
    (Eisenstat, Elman & Schultz 1983, doi 10.1137/0720023).

    A lane whose directions add nothing new any more has its solution, and stays.
    covariance: B = V A^T, of observations (N, ...). operator: A. right: r.
    """
    found, change, left, directions = torch.zeros_like(right), 0.0, right, []
    for k in range(num):
        v = first[k] if k < len(first) else left
        moved = covariance(v)
        image = operator(moved) + noise * v
        least = NEW * dot(image, image).sqrt()
        for earlier in directions:
            share = dot(image, earlier[0])
            image, moved, v = (part - share * other for part, other in zip((image, moved, v), earlier, strict=True))
        scale = dot(image, image).sqrt()
        inverse = torch.where(scale > least, 1.0 / scale, 0.0)
        image, moved, v = inverse * image, inverse * moved, inverse * v
        step = dot(left, image)
        found, change, left = found + step * v, change + step * moved, left - step * image
        directions.append((image, moved, v))
    return found, change, left


def dot(u: Tensor, v: Tensor) -> Tensor:
    """The inner product of each lane, (N, 1, ...)."""
    return (u * v).flatten(1).sum(1).view(-1, *[1] * (u.dim() - 1))
