"""Importance resampling of codes from an encoder that takes rows with holes (Mattei & Frellsen 2019, arXiv 1812.02633).

Codes z_l ~ q(z | y), with the holes of y as the encoder learned them, have the weights p(y | z_l) p(z_l) / q(z_l | y); one of
them is kept by its weight, and x ~ p(x | z, y). An encoder that was trained on complete rows has never seen a hole: next to no
code of it has weight, and such models are refused.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Infers
from genarena.options.values import Count
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import drawn
from genarena.tasks.posterior.measured import independent
from genarena.tasks.posterior.metropolis_within_gibbs import log_normal
from genarena.tasks.posterior.particles import needs_a_mask

ROWS = 2**14  # codes that are decoded at once


@dataclass(frozen=True)
class ImportanceResampling(PosteriorSampler):
    """Consistent as `num_codes`, per draw, grows. Facts: `effective_codes`, (sum w)^2 / sum w^2."""

    name = "importance_resampling"
    needs = Infers
    exactness = "asymptotic"
    paper = "1812.02633"

    num_codes: Count = 200

    def draw(self, model: Infers, problem: Problem) -> Draws:
        if not model.spec.missing:
            raise ValueError(f"algorithm={self.name}: needs a model that was trained on rows with holes (data.missing)")
        parts = [self._draw(model, part) for part in problem.split(max(1, ROWS // self.num_codes))]
        x, effective = (torch.cat(found) for found in zip(*parts, strict=True))
        return Draws(x, 1.0 + self.num_codes, {"effective_codes": effective})

    def refusal(self, operator: Operator, sigma: float) -> str:
        return needs_a_mask(operator)

    def _draw(self, model: Infers, problem: Problem) -> tuple[Tensor, Tensor]:
        """x (N, *shape), and the number of effective codes (N,)."""
        m = problem.operator.observed.to(problem.y.device).expand(problem.y.shape)
        q = model.posterior(problem.y.masked_fill(~m, torch.nan), problem.condition)
        prior, (num, size) = model.prior(problem.condition, len(problem)), q.mean.shape
        noise = problem.noise.normal(q.mean.new_empty(num, self.num_codes, size))
        z = q.mean[:, None] + (0.5 * q.log_var).exp()[:, None] * noise
        log_weights = self._log_evidence(model, problem, z, m)
        for k in range(self.num_codes):
            log_weights[:, k] += log_normal(prior, z[:, k]) - log_normal(q, z[:, k])
        weights = torch.softmax(log_weights, 1)
        u = problem.noise.uniform(torch.empty(num, 1, dtype=torch.float64, device=z.device))
        chosen = (u >= weights.cumsum(1)).sum(1).clamp_max(self.num_codes - 1)
        x = drawn(model, z[torch.arange(num, device=z.device), chosen], problem)
        return x, 1.0 / weights.square().sum(1)

    def _log_evidence(self, model: Infers, problem: Problem, z: Tensor, m: Tensor) -> Tensor:
        """log p(y | z) (N, L) nats of codes (N, L, size), up to a constant of the lane."""
        given = problem.condition
        given = None if given is None else given.repeat_interleave(self.num_codes, 0)
        values = independent(model.likelihood_of(z.flatten(0, 1), given))
        y, m = (each.flatten(1).repeat_interleave(self.num_codes, 0) for each in (problem.y, m))
        return values.given(y, problem.sigma, m)[0].sum(1).view(len(z), -1)
