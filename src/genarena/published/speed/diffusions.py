"""Diffusions against the same in plain PyTorch, from the equations of their papers.

Our U-Net stands on both sides: what is around it is compared.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.samplers import Ancestral
from genarena.models.diffusion.vdm import VDM
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.published.speed.pictures import GREY, NET, STEPS
from genarena.spec import Batch

ROWS, DRAWN = 32, 16  # images of a step, and of a call for samples
CHAIN = 1000  # steps of the discrete one


class Plain(Protocol):
    """The other side: images (N, 1, H, W) in [-1, 1] to a loss, and a number to images."""

    def loss(self, x_0: Tensor) -> Tensor: ...

    def sample(self, num: int) -> Tensor: ...


def against(name: str, ours: GenerativeModel, plain: Plain, how: str, num_rounds: int) -> str:
    """A line for a training step, one for the bound where both have it, and one for samples. how: they are drawn."""
    x = torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8)
    pairs = [
        Pair(
            f"a training step on {ROWS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(ours, lambda: plain.loss(to_points(x))),
        ),
        Pair(
            f"{DRAWN} samples {how}",
            still(ours, lambda: ours.sample(DRAWN)),
            still(ours, lambda: to_levels(plain.sample(DRAWN))),
        ),
    ]
    if hasattr(plain, "nats"):
        other = still(ours, lambda: plain.nats(to_points(x)))
        pairs.append(Pair(f"the bound of {ROWS} images", still(ours, lambda: ours.log_prob(x)), other))
    return compared(name, "plain PyTorch", pairs, num_rounds)


def to_points(x: Tensor) -> Tensor:
    return x / 127.5 - 1.0


def to_levels(x: Tensor) -> Tensor:
    return ((x + 1.0) * 127.5).round().clamp(0, 255).byte()


def normal_kl(gap: Tensor, log_variance: Tensor, log_other: Tensor) -> Tensor:
    """KL of two normals whose means differ by `gap`."""
    return 0.5 * (log_other - log_variance - 1.0 + (log_variance - log_other).exp() + gap**2 * (-log_other).exp())


class PlainIDDPM:
    """Nichol & Dhariwal 2021 (arXiv 2102.09672), by the tables and the losses of their code."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        angle = (torch.arange(CHAIN + 1, dtype=torch.float64) / CHAIN + 0.008) / 1.008 * math.pi / 2.0
        beta = (1.0 - (angle[1:].cos() / angle[:-1].cos()) ** 2).clamp_max(0.999)
        bar = (1.0 - beta).cumprod(0)
        before = torch.cat([torch.ones(1), bar[:-1]])
        posterior = beta * (1.0 - before) / (1.0 - bar)
        posterior[0] = min(posterior[1], (0.2 / 255) ** 2)  # a tenth of a bin
        tables = bar.sqrt(), (1.0 - bar).sqrt(), posterior.log(), beta.log(), before.sqrt() * beta / (1.0 - bar)
        self.tables = torch.stack(tables).float()
        self.bar = [1.0, *bar.tolist()]

    def terms(self, x_0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors of eps, and the terms of the bound in nats per dimension; t (N,) from 0."""
        a, s, low, high, weight = self.tables[:, t, None, None, None]
        eps = torch.randn_like(x_0)
        x_t = a * x_0 + s * eps
        output, share = self.network(x_t, (t + 1) / CHAIN).chunk(2, 1)
        share = torch.sigmoid(share)
        log_variance = share * high + (1.0 - share) * low
        found = ((x_t - s * output.detach()) / a).clamp(-1.0, 1.0)
        kl = normal_kl(weight * (x_0 - found), low, log_variance)
        decoder = -self.decoder(x_0, found, log_variance)
        return (output - eps) ** 2, torch.where(t[:, None, None, None] == 0, decoder, kl)

    def decoder(self, x_0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        scale = (-0.5 * log_variance).exp()
        upper, lower = (torch.special.ndtr(scale * (x_0 - mean + half)) for half in (1 / 255, -1 / 255))
        ends = torch.where(x_0 < -0.999, upper, torch.where(x_0 > 0.999, 1.0 - lower, upper - lower))
        return ends.clamp_min(1e-12).log()

    def loss(self, x_0: Tensor) -> Tensor:
        error, nats = self.terms(x_0, torch.randint(CHAIN, (len(x_0),)))
        return error.mean() + 1e-3 * CHAIN * nats.mean() / math.log(2.0)

    def nats(self, x_0: Tensor) -> Tensor:
        """By the first term, and one of the others."""
        a, s = self.tables[:2, -1]
        last = normal_kl(a * x_0, 2.0 * s.log(), torch.zeros(()))
        first, other = (
            self.terms(x_0, t)[1] for t in (torch.zeros(len(x_0)).long(), torch.randint(1, CHAIN, (len(x_0),)))
        )
        return (last + first + (CHAIN - 1) * other).flatten(1).sum(1)

    def sample(self, num: int) -> Tensor:
        z = torch.randn(num, *GREY.shape)
        for t, t_before in pairwise(CHAIN * k // STEPS for k in range(STEPS, -1, -1)):
            bar, before = self.bar[t], self.bar[t_before]
            beta = 1.0 - bar / before
            output, share = self.network(z, torch.full((num,), t / CHAIN)).chunk(2, 1)
            x_0 = ((z - (1.0 - bar) ** 0.5 * output) / bar**0.5).clamp(-1.0, 1.0)
            z = (before**0.5 * beta * x_0 + (1.0 - beta) ** 0.5 * (1.0 - before) * z) / (1.0 - bar)
            if t_before:
                low, high = math.log(beta * (1.0 - before) / (1.0 - bar)), math.log(beta)
                z = z + (0.5 * (low + torch.sigmoid(share) * (high - low))).exp() * torch.randn_like(z)
        return z


def iddpm(num_rounds: int = 5) -> str:
    """The hybrid loss. Our decoder's term is of logarithms of the tails, theirs of clamped differences."""
    ours = DDPM(GREY, prediction="eps", sampler=Ancestral(nfe=STEPS), net=NET)
    return against("iddpm", ours, PlainIDDPM(ours.network), f"in {STEPS} ancestral steps", num_rounds)


class PlainVDM:
    """Kingma et al. 2021 (arXiv 2107.00630): eq. 11 to 17, and 33. Theirs has a monotone network in common with ours, whose
    shape follows the bound too."""

    def __init__(self, network: nn.Module, shape: nn.Module, ends: Tensor, frequencies: Sequence[float]) -> None:
        self.network, self.shape, self.ends, self.frequencies = network, shape, ends, frequencies
        self.first, self.last = ends.tolist()

    def gamma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """And its rate, at times t (N,)."""
        (risen, rate), (low, high) = self.shape(t), self.ends
        return low + (high - low) * risen, (high - low) * rate

    def noise_in(self, z: Tensor, gamma: Tensor) -> Tensor:
        waves = [wave(frequency * z) for frequency in self.frequencies for wave in (torch.sin, torch.cos)]
        return self.network(torch.cat([z, *waves], 1), (gamma - self.first) / (self.last - self.first))

    def nats(self, x_0: Tensor) -> Tensor:
        gamma, rate = self.gamma(torch.rand(len(x_0)))
        eps, column = torch.randn_like(x_0), gamma[:, None, None, None]
        z = torch.sigmoid(-column).sqrt() * x_0 + torch.sigmoid(column).sqrt() * eps
        diffusion = 0.5 * rate * (eps - self.noise_in(z, gamma)).square().flatten(1).sum(1)
        a_2, s_2 = torch.sigmoid(-self.ends[1]), torch.sigmoid(self.ends[1])
        prior = 0.5 * (a_2 * x_0**2 + s_2 - 1.0 - s_2.log())
        levels = torch.arange(256) / 127.5 - 1.0
        z_0 = x_0 + (0.5 * self.ends[0]).exp() * torch.randn_like(x_0)
        logits = -0.5 * (-self.ends[0]).exp() * (z_0[..., None] - levels) ** 2
        index = ((x_0 + 1.0) * 127.5).round().long()
        decoder = F.log_softmax(logits, -1).gather(-1, index[..., None])
        return diffusion + prior.flatten(1).sum(1) - decoder.flatten(1).sum(1)

    def loss(self, x_0: Tensor) -> Tensor:
        return self.nats(x_0).mean() / (x_0[0].numel() * math.log(2.0))

    def sample(self, num: int) -> Tensor:
        z = torch.randn(num, *GREY.shape)
        gammas = self.gamma(torch.linspace(1.0, 0.0, STEPS + 1))[0]
        for now, then in pairwise(gammas):
            a, s, c = torch.sigmoid(-now).sqrt(), torch.sigmoid(now).sqrt(), -torch.expm1(then - now)
            x_0 = ((z - s * self.noise_in(z, now.expand(num))) / a).clamp(-1.0, 1.0)
            a_then = torch.sigmoid(-then).sqrt()
            z = a_then * ((1.0 - c) * z / a + c * x_0) + (torch.sigmoid(then) * c).sqrt() * torch.randn_like(z)
        return z / a_then


def vdm(num_rounds: int = 5) -> str:
    """Theirs has all levels in the term of the decoder, ours those near enough to count."""
    ours = VDM(GREY, sampler=Ancestral(nfe=STEPS), schedule_features=256, net=NET)
    plain = PlainVDM(ours.network, ours.shape, ours.gammas, ours.frequencies)
    return against("vdm", ours, plain, f"in {STEPS} ancestral steps", num_rounds)
