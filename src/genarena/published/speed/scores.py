"""Denoisers and scores against the same in plain PyTorch, from the equations of their papers.

Our U-Net stands on both sides.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.predictor_corrector import PredictorCorrector
from genarena.models.diffusion.score_sde import ScoreSDE
from genarena.published.speed.diffusions import against
from genarena.published.speed.pictures import GREY, NET, STEPS


def denoised(network: nn.Module, x: Tensor, sigma: Tensor, spread: float) -> Tensor:
    """Of Karras et al. 2022 (arXiv 2206.00364), table 1, at sigma (N, 1, 1, 1)."""
    total = sigma**2 + spread**2
    output = network(x / total.sqrt(), sigma.flatten().log() / 4.0)
    return spread**2 / total * x + sigma * spread / total.sqrt() * output


class PlainEDM:
    """Karras et al. 2022 (arXiv 2206.00364): table 1 and algorithm 1."""

    def __init__(self, network: nn.Module, num_steps: int, spread: float = 0.5) -> None:
        self.network, self.num_steps, self.spread = network, num_steps, spread

    def denoised(self, x: Tensor, sigma: Tensor) -> Tensor:
        return denoised(self.network, x, sigma, self.spread)

    def loss(self, x_0: Tensor) -> Tensor:
        sigma = (1.2 * torch.randn(len(x_0), 1, 1, 1) - 1.2).exp()
        weight = (sigma**2 + self.spread**2) / (sigma * self.spread) ** 2
        return (weight * (self.denoised(x_0 + sigma * torch.randn_like(x_0), sigma) - x_0) ** 2).mean()

    def sample(self, num: int) -> Tensor:
        most, least = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
        sigmas = [*(torch.linspace(most, least, self.num_steps) ** 7).tolist(), 0.0]
        z = sigmas[0] * torch.randn(num, *GREY.shape)
        for now, then in pairwise(sigmas):
            slope = (z - self.denoised(z, torch.full((num, 1, 1, 1), now))) / now
            trial = z + (then - now) * slope
            if then:
                second = (trial - self.denoised(trial, torch.full((num, 1, 1, 1), then))) / then
                trial = z + (then - now) * 0.5 * (slope + second)
            z = trial
        return z


def edm(num_rounds: int = 5) -> str:
    """Heun's method."""
    ours = EDM(GREY, sampler=EDMHeun(nfe=STEPS - 1), dequantisation="none", net=NET)
    return against("edm", ours, PlainEDM(ours.network, STEPS // 2), f"in {STEPS // 2} steps of Heun", num_rounds)


class PlainScoreSDE:
    """Song et al. 2021 (arXiv 2011.13456), variance preserving: eq. 7 and 33, algorithms 3 and 5."""

    def __init__(self, network: nn.Module, num_levels: int, snr: float = 0.16) -> None:
        self.network, self.num_levels, self.snr = network, num_levels, snr

    def signal(self, t: Tensor) -> Tensor:
        return (-0.25 * t**2 * 19.9 - 0.05 * t).exp()

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """At times t (N,)."""
        return -self.network(x, t) / (1.0 - self.signal(t)[:, None, None, None] ** 2).sqrt()

    def loss(self, x_0: Tensor) -> Tensor:
        t, eps = 1e-5 + (1.0 - 1e-5) * torch.rand(len(x_0)), torch.randn_like(x_0)
        a = self.signal(t)[:, None, None, None]
        s = (1.0 - a**2).sqrt()
        return (s * self.score(a * x_0 + s * eps, t) + eps).square().mean()

    def sample(self, num: int) -> Tensor:
        z, times = torch.randn(num, *GREY.shape), torch.linspace(1.0, 1e-3, self.num_levels + 1)
        for t, t_before in pairwise(times):
            alpha = (self.signal(t) / self.signal(t_before)) ** 2
            score, eps = self.score(z, t.expand(num)), torch.randn_like(z)
            ratio = eps.flatten(1).norm(dim=1).mean() / score.flatten(1).norm(dim=1).mean()
            size = 2.0 * alpha * (self.snr * ratio) ** 2
            z = z + size * score + (2.0 * size).sqrt() * eps
            z = (z + (1.0 - alpha) * self.score(z, t.expand(num))) / alpha.sqrt()
            z = z + (1.0 - alpha).sqrt() * torch.randn_like(z)
        return z


def score_sde(num_rounds: int = 5) -> str:
    """A Langevin step and an ancestral one at each level."""
    ours = ScoreSDE(GREY, sampler=PredictorCorrector(nfe=STEPS), dequantisation="none", net=NET)
    plain = PlainScoreSDE(ours.network, STEPS // 2)
    return against("score_sde", ours, plain, f"by predictor and corrector at {STEPS // 2} levels", num_rounds)
