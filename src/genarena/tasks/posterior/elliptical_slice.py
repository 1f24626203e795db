"""Elliptical slice sampling of latent codes (Murray, Adams & MacKay 2010, arXiv 1001.0175, figure 2).

It needs neither a step size nor a gradient. Every lane has its own bracket; those that have found their next state wait.

Differs from the paper: a bracket shrinks at most `SHRINKAGES` times, after which the state stays, which leaves the posterior
invariant too; at first the noise of y is annealed, from the misfit of the start to its own value, because a chain that starts
at the prior is caught in the first mode that explains a part of y.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Emits, Infers
from genarena.options.values import Count, NonNegative, Share
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import Decoder, decoder_of

SHRINKAGES = 40  # the bracket is then far narrower than float32 resolves


@dataclass(frozen=True)
class EllipticalSlice(PosteriorSampler):
    """z ~ N(0, I) p(y | z), then x | z, y.

    num_steps: of the chain, from a draw of the prior. anneal: share of them in which the noise of y falls to its own value.
    floor: standard deviation in units of [0, 1] that is added to the noise of y for deterministic decoders that are not
        bijective. Images are off their range, and the chain would stick without.
    """

    name = "elliptical_slice"
    needs = Emits | Infers
    exactness = "asymptotic"
    paper = "1001.0175"

    num_steps: Count = 200
    anneal: Share = 0.5
    floor: NonNegative = 0.05

    def draw(self, model: Emits | Infers, problem: Problem) -> Draws:
        decoder = decoder_of(model, problem, self.floor)
        z, counts = self.chain(decoder)
        facts = {"evaluations_per_step": counts.double() / self.num_steps}
        facts["effective_noise"] = torch.full((len(z),), decoder.sigma / (2.0 if model.spec.is_discrete else 1.0))
        return Draws(decoder.restore(z), counts.double().mean().item(), facts)

    def chain(self, decoder: Decoder) -> tuple[Tensor, Tensor]:
        """The last codes (N, size), and the number of evaluations of each lane."""
        z = decoder.start()
        lanes = torch.arange(len(z), device=z.device)
        widest, counts, before = (
            decoder.misfit(z).clamp_min(decoder.sigma),
            torch.zeros(len(z), dtype=torch.int64),
            None,
        )
        cooling = round(self.anneal * self.num_steps)
        for step in range(self.num_steps):
            done = min(1.0, (step + 1) / cooling) if cooling else 1.0
            sigma = annealed(widest, decoder.sigma, done)
            if before is None or step < cooling:
                before = decoder.log_likelihood(z, lanes, sigma)
                counts += 1
            z, before, used = slice_step(decoder, z, before, sigma)
            counts += used.cpu()
        return z, counts


def annealed(widest: Tensor, sigma: float, done: float) -> Tensor:
    """Noise (N,) on the way from `widest` (N,) to sigma: geometric, `done` from 0 to 1; linear to sigma = 0."""
    if done >= 1.0:
        return torch.full_like(widest, sigma)
    return widest * (sigma / widest) ** done if sigma > 0 else widest * (1.0 - done)


def slice_step(decoder: Decoder, z: Tensor, before: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of all lanes: z (N, size), its log-likelihood (N,), and the number of evaluations (N,)."""
    noise, lanes = decoder.problem.noise, torch.arange(len(z), device=z.device)
    other = noise.normal(z)
    u = noise.uniform(torch.empty(len(z), 2 + SHRINKAGES, dtype=torch.float64, device=z.device))
    level, angle = before.double() + u[:, 0].log(), 2.0 * math.pi * u[:, 1]
    low, high, used = angle - 2.0 * math.pi, angle.clone(), torch.zeros_like(lanes)
    z, found = z.clone(), before.clone()
    start = z.clone()
    for k in range(SHRINKAGES):
        turn = angle[lanes, None].to(z.dtype)
        proposal = start[lanes] * turn.cos() + other[lanes] * turn.sin()
        value = decoder.log_likelihood(proposal, lanes, sigma[lanes])
        used[lanes] += 1
        taken = value.double() > level[lanes]
        z[lanes[taken]], found[lanes[taken]] = proposal[taken], value[taken]
        lanes = lanes[~taken]
        if not len(lanes):
            break
        below = angle[lanes] < 0
        low[lanes] = torch.where(below, angle[lanes], low[lanes])
        high[lanes] = torch.where(below, high[lanes], angle[lanes])
        angle[lanes] = low[lanes] + u[lanes, 2 + k] * (high[lanes] - low[lanes])
    return z, found, used
