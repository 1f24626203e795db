"""Tweedie moment projected diffusion (Boys, Girolami, Pidstrigach, Reich, Mosca & Akyildiz 2023, arXiv 2310.06721).

Differs from the paper: row sums below zero, which a covariance with negative entries or a network gives, become zero.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.guided import AnySampler


@dataclass(frozen=True)
class TMPD(AnySampler):
    """D_y = D + V A^T diag(sigma^2 + A V A^T 1)^-1 (y - A D), V = V[x_0 | x]: row sums in the place of a matrix.

    For masks and data of independent dimensions, A V A^T is diagonal, and the rule that of `mmps`.
    """

    name = "tmpd"
    exactness = "heuristic"
    paper = "2310.06721"

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        x_0, product = prior.linearised(x, level)
        operator, variance = problem.operator, level.s**2 / level.a
        ones = torch.ones_like(problem.y) * operator.observed.to(x.device)
        sums = operator(variance * product(operator.adjoint(ones))).clamp_min(0.0)
        weighted = problem.residual(x_0) / (problem.sigma**2 + sums)
        return x_0 + variance * product(operator.adjoint(weighted))

    def refusal(self, operator: Operator, sigma: float) -> str:
        return "" if sigma > 0.0 else "needs noise: it divides by sums that may be zero without"
