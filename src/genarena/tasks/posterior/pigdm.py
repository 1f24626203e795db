"""Pseudo-inverse guidance (Song, Vahdat, Mardani & Kautz, ICLR 2023, Pseudoinverse-guided diffusion models).

Differs from the paper: the guidance is part of the prediction, so that any sampler can use it; the paper adds it after a DDIM
step, which is farther from the posterior of a Gaussian. r^2 = s^2 / (a^2 + s^2), s^2 on the paper's path.
"""

from dataclasses import dataclass

from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.guided import AnySampler


@dataclass(frozen=True)
class PiGDM(AnySampler):
    """D_y = D + V A^T (sigma^2 I + r^2 A A^T)^-1 (y - A D): p(x_0 | x) has the variance r^2, that of data N(m, I)."""

    name = "pigdm"
    exactness = "heuristic"

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        x_0, product = prior.linearised(x, level)
        r2 = level.s**2 / (level.a**2 + level.s**2)
        weighted = problem.operator.solve(problem.residual(x_0), problem.sigma**2 / r2) / r2
        return x_0 + level.s**2 / level.a * product(problem.operator.adjoint(weighted))
