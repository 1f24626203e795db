"""Decoupled annealing posterior sampling (Zhang, Chu, Berner, Meng, Anandkumar & Song 2024, arXiv 2407.01521, algorithm 1).

Differs from the paper: A is linear, so x_0 given y is drawn in closed form; the paper runs Langevin steps that tend to it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.samplers import DDIM
from genarena.options.values import Count, Positive
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior import prox
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import Prior


@dataclass(frozen=True)
class DAPS(PosteriorSampler):
    """At each level: x to data by the ODE; x_0 ~ N(ODE's end, r^2 I) N(y; A x_0, sigma^2 I) / Z; x_0 to the next level.

    r = spread s / a: a Gaussian that is wider than p(x_0 | x), so what is not measured varies too much. num_steps: levels.
    num_ode_steps: of the ODE at each.
    """

    name = "daps"
    needs: ClassVar[type] = Denoises
    exactness = "heuristic"
    paper = "2407.01521"

    num_steps: Count = 50
    num_ode_steps: Count = 5
    spread: Positive = 1.0

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        prior = Prior(model, problem)
        levels, x = prior.path(self.num_steps), problem.noise.normal(problem.empty())
        x = levels[0].s * x
        for start, end in pairwise(levels):
            x = DDIM()(prior, x, prior.path(self.num_ode_steps, start.sigma))
            x = prox.draw(problem, x, self.spread * start.sigma)
            if end.s:
                x = end.a * x + end.s * problem.noise.normal(x)
        return Draws(x, prior.nfe)
