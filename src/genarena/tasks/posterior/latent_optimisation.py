"""The most likely codes (Bora, Jalal, Price & Dimakis 2017, arXiv 1703.03208, eq. 3), from several starts.

min over z of -2 log p(y | z) + |z|^2, which is |y - A g(z)|^2 / sigma_eff^2 + |z|^2 for a decoder x = g(z).

Differs from the paper: the weight of |z|^2 is that of the posterior, not chosen; Adam, its step falling to zero, in the place
of momentum; the best of the restarts at its best step is returned, which need not be the last.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Emits, Infers
from genarena.options.values import Count, NonNegative, Positive
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import Decoder, decoder_of

BETAS, EPSILON = (0.9, 0.99), 1e-8  # of Adam


@dataclass(frozen=True)
class LatentOptimisation(PosteriorSampler):
    """E[x|z] at the mode of p(z | y): one image, no draw, and no measure of doubt.

    num_steps: of each restart. num_restarts: from draws of the prior. step_size: the first one; it falls as a cosine.
    floor: of `elliptical_slice`.
    """

    name = "latent_optimisation"
    needs = Emits | Infers
    exactness = "heuristic"
    paper = "1703.03208"
    is_point = True

    num_steps: Count = 200
    num_restarts: Count = 10
    step_size: Positive = 0.1
    floor: NonNegative = 0.05

    def draw(self, model: Emits | Infers, problem: Problem) -> Draws:
        decoder = decoder_of(model, problem, self.floor)
        found = [self.descend(decoder) for _ in range(self.num_restarts)]
        values = torch.stack([value for _, value in found])  # (restarts, N)
        z = torch.stack([code for code, _ in found])[values.argmin(0), torch.arange(len(problem))]
        facts = {
            "objective": values.amin(0),
            "spread_of_restarts": values.std(0) if len(found) > 1 else 0.0 * values[0],
        }
        return Draws(decoder.mean(z), 2.0 * self.num_steps * self.num_restarts, facts)

    def descend(self, decoder: Decoder) -> tuple[Tensor, Tensor]:
        """The best codes on the way of one restart (N, size), and their objective (N,)."""
        z = decoder.start()
        lanes = torch.arange(len(z), device=z.device)
        sigma = torch.full((len(z),), decoder.sigma, dtype=z.dtype, device=z.device)
        best, least = z, torch.full_like(sigma, math.inf)
        first, second = torch.zeros_like(z), torch.zeros_like(z)
        for step in range(self.num_steps):
            value, slope = objective(decoder, z, lanes, sigma)
            better = value < least
            best, least = torch.where(better[:, None], z, best), torch.where(better, value, least)
            first, second = first.lerp(slope, 1.0 - BETAS[0]), second.lerp(slope.square(), 1.0 - BETAS[1])
            size = 0.5 * self.step_size * (1.0 + math.cos(math.pi * step / self.num_steps))
            straight = first / (1.0 - BETAS[0] ** (step + 1))
            z = z - size * straight / ((second / (1.0 - BETAS[1] ** (step + 1))).sqrt() + EPSILON)
        return best, least


def objective(decoder: Decoder, z: Tensor, lanes: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """-2 log p(y|z) + |z|^2 (N,) and its gradient (N, size)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = z.square().sum(1) - 2.0 * decoder.log_likelihood(z, lanes, sigma)
        (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope
