"""Metropolis within Gibbs with an encoder as the proposal (Mattei & Frellsen 2018, arXiv 1802.04826, algorithm 1).

The target is p(x, z | y). z' ~ q(z|x) is accepted with the probability min(1, p(x, z') q(z|x) / (p(x, z) q(z'|x))); then
x ~ p(x|z, y), which is exact for masks, with and without noise (`pseudo_gibbs.py`). The chain starts with steps of
pseudo-Gibbs, which all are accepted.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.models.capabilities import DiagonalNormal, Infers
from genarena.options.values import Count, Share
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import data_of, drawn
from genarena.tasks.posterior.particles import needs_a_mask
from genarena.tasks.posterior.pseudo_gibbs import begin, gibbs_step


@dataclass(frozen=True)
class MetropolisWithinGibbs(PosteriorSampler):
    """num_steps: of the chain. warmup: share of them that are steps of pseudo-Gibbs."""

    name = "metropolis_within_gibbs"
    needs = Infers
    exactness = "asymptotic"
    paper = "1802.04826"

    num_steps: Count = 200
    warmup: Share = 0.2

    def draw(self, model: Infers, problem: Problem) -> Draws:
        z, x = begin(model, problem)
        accepted = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        first = round(self.warmup * self.num_steps)
        for step in range(self.num_steps):
            if step < first:
                z, x = gibbs_step(model, problem, x)
                continue
            z, taken = metropolis_step(model, problem, z, x)
            x = drawn(model, z, problem)
            accepted += taken
        return Draws(
            x,
            1.0 + 2.0 * first + 4.0 * (self.num_steps - first),
            {"acceptance": accepted / (self.num_steps - first or 1)},
        )

    def refusal(self, operator: Operator, sigma: float) -> str:
        return needs_a_mask(operator)


def metropolis_step(model: Infers, problem: Problem, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """z of the next state, and whether it is another."""
    given, data = problem.condition, data_of(x, model)
    q, prior = model.posterior(data, given), model.prior(given, len(x))
    other = q.mean + (0.5 * q.log_var).exp() * problem.noise.normal(q.mean)

    def log_weight(code: Tensor) -> Tensor:
        """log p(x, z) - log q(z|x), (N,)."""
        return log_mass(model.likelihood_of(code, given), data) + log_normal(prior, code) - log_normal(q, code)

    log_ratio = log_weight(other) - log_weight(z)
    u = problem.noise.uniform(torch.empty(len(x), 1, dtype=torch.float64, device=x.device)).squeeze(1)
    taken = u.log() < log_ratio
    return torch.where(taken[:, None], other, z), taken


def log_mass(distribution: PixelDistribution | DiagonalNormal, x: Tensor) -> Tensor:
    """log p(x|z) (N,) nats, float64, up to a constant."""
    if isinstance(distribution, PixelDistribution):
        return distribution.log_prob(x).flatten(1).double().sum(1)
    return log_normal(distribution, x)


def log_normal(normal: DiagonalNormal, z: Tensor) -> Tensor:
    """(N,) nats, float64, up to a constant."""
    off = (z - normal.mean).double().square() * (-normal.log_var.double()).exp()
    return -0.5 * (off + normal.log_var.double()).sum(1)
