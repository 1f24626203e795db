"""Ancestral completion: what is measured is kept, the rest is drawn dimension by dimension.

It is exact if the measured part has no noise and comes first in the order of the model, such as an upper half. With noise it
would not be: a level is drawn from p(x_i | x_<i) N(y_i; x_i, sigma^2), but what is measured later says something about it too,
which `smc` weighs. Elsewhere `clamp` does the same, with its bias.
"""

from dataclasses import dataclass

from genarena.models.capabilities import Factorises
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.particles import comes_first, needs_a_mask, sweep


@dataclass(frozen=True)
class Ancestral(PosteriorSampler):
    """x_i ~ p(x_i | x_<i) for all i that are not measured, in one pass."""

    name = "ancestral"
    needs = Factorises
    exactness = "exact"

    def draw(self, model: Factorises, problem: Problem) -> Draws:
        if not comes_first(model, problem).all():
            raise ValueError(f"algorithm={self.name}: what is measured must come first in the model's order; try smc")
        return Draws(sweep(model, problem, 1).x[:, 0], model.nfe)

    def refusal(self, operator: Operator, sigma: float) -> str:
        if sigma > 0 and operator.observed.any():
            return "needs measurements without noise; smc takes them with noise"
        return needs_a_mask(operator)
