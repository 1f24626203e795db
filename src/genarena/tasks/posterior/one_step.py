"""Denoising with one evaluation: E[x_0 | x_t] at the level t with s / a = sigma, where x_t = a y is the noisy image (Efron
2011, doi 10.1198/jasa.2011.tm11181). It is the posterior mean of the model, and no draw.
"""

from dataclasses import dataclass

from genarena.models.capabilities import Denoises
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import time_of


@dataclass(frozen=True)
class OneStep(PosteriorSampler):
    """The posterior mean, by one evaluation of the denoiser; A = I only."""

    name = "one_step"
    needs = Denoises
    exactness = "asymptotic"
    paper = "10.1198/jasa.2011.tm11181"
    is_point = True

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        t = time_of(model, problem.sigma, problem.y.device)
        a, _ = model.marginal(t)
        return Draws(model.denoise(a * problem.y, t.expand(len(problem)), problem.condition), nfe=1)

    def refusal(self, operator: Operator, sigma: float) -> str:
        return "" if operator.known.all() else "removes noise only: all of x must be observed"
