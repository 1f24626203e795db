"""Null-space guidance: DDNM, and with noise DDNM+ (Wang, Yu & Zhang 2022, arXiv 2212.00490, eq. 13 and 17 to 19).

Differs from the paper: ancestral steps; the noise of a step is reduced in the range of A^+ only, where that of y stands in for
it, while eq. 17 with a single gamma takes it from all of x; no time travel.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.denoiser import Prior, Step
from genarena.tasks.posterior.guided import Guided


@dataclass(frozen=True)
class DDNM(Guided):
    """D_y = D + share A^+ (y - A D), for operators with A A^T = g I: masks, means of blocks or channels.

    plus: share = min(1, sd / (w sigma / sqrt(g))) for a step of standard deviation sd in which D has the weight w, and the
    step's variance in the range of A^+ becomes sd^2 - (share w)^2 sigma^2 / g; else share = 1, which copies the noise of y.
    """

    name = "ddnm"
    exactness = "heuristic"
    paper = "2212.00490"

    plus: bool = True

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        x_0 = prior(x, level).x_0
        share = self.share(problem, prior.step(level))
        return x_0 + share * problem.operator.pseudo_inverse(problem.residual(x_0))

    def share(self, problem: Problem, step: Step) -> float:
        noise = step.jump.weight_x_0 * problem.sigma / math.sqrt(gain(problem.operator))
        deviation = math.exp(0.5 * step.jump.log_variance)
        return min(1.0, deviation / noise) if self.plus and noise else 1.0

    def shaped(self, problem: Problem, n: Tensor, step: Step) -> Tensor:
        if not self.plus:
            return n
        g, variance = gain(problem.operator), math.exp(step.jump.log_variance)
        taken = (self.share(problem, step) * step.jump.weight_x_0 * problem.sigma) ** 2 / g
        kept = math.sqrt(max(0.0, 1.0 - taken / variance))
        return n - (1.0 - kept) * problem.operator.pseudo_inverse(problem.operator(n))

    def refusal(self, operator: Operator, sigma: float) -> str:
        return "" if gain(operator) else "needs an operator with A A^T = g I, such as a mask or means of blocks"


def gain(operator: Operator) -> float:
    """g with A A^T = g I on what is measured, 0 if there is none, 1 if nothing is measured. One random y tells."""
    one = operator.rows(slice(0, 1))
    y = torch.randn(1, *one.observed_shape, generator=torch.Generator().manual_seed(0))
    y = y.to(one.observed.device) * one.observed
    if not y.any():
        return 1.0
    image = one(one.adjoint(y))
    g = ((image * y).sum() / y.square().sum()).item()
    return g if torch.allclose(image, g * y, atol=1e-4 * abs(g)) else 0.0
