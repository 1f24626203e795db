"""Ancestral completion wherever the measured part is, with or without noise: fast, and biased.

x_i ~ p(x_i | x_<i) N(y_i; x_i, sigma^2), or its measured value, in one pass. What is drawn before a measured dimension does not
know of it; `smc` with many particles does.
"""

from dataclasses import dataclass

from genarena.models.capabilities import Factorises
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.particles import needs_a_mask, sweep


@dataclass(frozen=True)
class Clamp(PosteriorSampler):
    """One particle, whatever its weight."""

    name = "clamp"
    needs = Factorises
    exactness = "heuristic"

    def draw(self, model: Factorises, problem: Problem) -> Draws:
        return Draws(sweep(model, problem, 1).x[:, 0], model.nfe)

    def refusal(self, operator: Operator, sigma: float) -> str:
        return needs_a_mask(operator)
