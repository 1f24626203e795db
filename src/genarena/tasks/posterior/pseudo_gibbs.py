"""Pseudo-Gibbs sampling with an encoder (Rezende, Mohamed & Wierstra 2014, arXiv 1401.4082, appendix F).

z ~ q(z|x), then x ~ p(x|z, y), in turn. The stationary distribution is the posterior only if q(z|x) is exact;
`metropolis_within_gibbs` corrects for it.

What is measured with noise is drawn too, from p(x_i|z) N(y_i; x_i, sigma^2), which is exact: level by level, or in closed form.
"""

from dataclasses import dataclass

from torch import Tensor

from genarena.models.capabilities import Infers
from genarena.options.values import Count
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import data_of, drawn
from genarena.tasks.posterior.particles import needs_a_mask


@dataclass(frozen=True)
class PseudoGibbs(PosteriorSampler):
    """num_steps: of the chain, from a draw of the prior."""

    name = "pseudo_gibbs"
    needs = Infers
    exactness = "heuristic"
    paper = "1401.4082"

    num_steps: Count = 100

    def draw(self, model: Infers, problem: Problem) -> Draws:
        x = begin(model, problem)[1]
        for _ in range(self.num_steps):
            _, x = gibbs_step(model, problem, x)
        return Draws(x, 2.0 * self.num_steps + 1.0)

    def refusal(self, operator: Operator, sigma: float) -> str:
        return needs_a_mask(operator)


def begin(model: Infers, problem: Problem) -> tuple[Tensor, Tensor]:
    """z ~ p(z), and x ~ p(x|z, y)."""
    prior = model.prior(problem.condition, len(problem))
    z = prior.mean + (0.5 * prior.log_var).exp() * problem.noise.normal(prior.mean)
    return z, drawn(model, z, problem)


def gibbs_step(model: Infers, problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """z ~ q(z|x), then x ~ p(x|z, y)."""
    q = model.posterior(data_of(x, model), problem.condition)
    z = q.mean + (0.5 * q.log_var).exp() * problem.noise.normal(q.mean)
    return z, drawn(model, z, problem)
