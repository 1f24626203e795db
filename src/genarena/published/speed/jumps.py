"""Models of one step against the same in plain PyTorch, from the equations of their papers. Our U-Net stands on both sides."""

import torch
from torch import Tensor, nn

from genarena.models.diffusion.consistency import Consistency
from genarena.models.diffusion.flow_map import FlowMap, Restarts
from genarena.models.diffusion.meanflow import MeanFlow
from genarena.models.diffusion.shortcut import Shortcut
from genarena.nets.by_shape import unet_or_mlp
from genarena.published.speed.diffusions import against
from genarena.published.speed.pictures import GREY, NET
from genarena.published.speed.scores import denoised

MOST = 80.0  # sigma of the start


class PlainConsistency:
    """Song & Dhariwal 2023 (arXiv 2310.14189), with the pairs of times of Geng et al. 2024 (arXiv 2406.14548) at the end of the
    curriculum."""

    def __init__(self, network: nn.Module, doublings: int, spread: float = 0.5) -> None:
        self.network, self.doublings, self.spread = network, doublings, spread

    def map(self, x: Tensor, t: Tensor) -> Tensor:
        """f, at t (N, 1, 1, 1): without an offset the denoiser of EDM."""
        return denoised(self.network, x, t, self.spread)

    def loss(self, x_0: Tensor) -> Tensor:
        t, eps = (2.0 * torch.randn(len(x_0), 1, 1, 1) - 1.1).exp(), torch.randn_like(x_0)
        r = t * (1.0 - (1.0 + 8.0 * torch.sigmoid(-t)) / 2.0**self.doublings)
        found = self.map(x_0 + t * eps, t)
        with torch.no_grad():
            target = self.map(x_0 + r * eps, r)
        c = 0.00054 * x_0[0].numel() ** 0.5
        distance = ((found - target).flatten(1).square().sum(1) + c**2).sqrt() - c
        return (distance / (t - r).flatten()).mean() / x_0[0].numel() ** 0.5

    def sample(self, num: int) -> Tensor:
        return self.map(MOST * torch.randn(num, *GREY.shape), torch.full((num, 1, 1, 1), MOST))


def consistency(num_rounds: int = 5) -> str:
    """Both have two passes of the network, one of them without a gradient."""
    ours = Consistency(GREY, sampler=Restarts(nfe=1), curriculum=0.0, dequantisation="none", net=NET)
    return against("consistency", ours, PlainConsistency(ours.network, ours.doublings), "in one step", num_rounds)


class PlainShortcut:
    """Frans et al. 2024 (arXiv 2410.12557), algorithm 1, with time from the data to the noise."""

    def __init__(self, network: nn.Module, doublings: int = 7, consistent_share: float = 0.25) -> None:
        self.network, self.doublings, self.consistent_share = network, doublings, consistent_share

    def velocity(self, x: Tensor, t: Tensor, exponent: Tensor) -> Tensor:
        """At times t (N,), for steps of 2 to the power -exponent."""
        return self.network(x, torch.stack([t, 1.0 - exponent / self.doublings], 1))

    def loss(self, x_0: Tensor) -> Tensor:
        eps, t = torch.randn_like(x_0), torch.rand(len(x_0))
        num, exponent = int(self.consistent_share * len(x_0)), torch.full((len(x_0),), float(self.doublings))
        exponent[:num] = torch.randint(self.doublings, (num,))
        step = 0.5 ** exponent[:num]
        t[:num] = ((torch.rand(num) / step).floor() + 1.0) * step
        x_t, target = x_0 + t[:, None, None, None] * (eps - x_0), eps - x_0
        with torch.no_grad():
            x, half = x_t[:num], 0.5 * step
            first = self.velocity(x, t[:num], exponent[:num] + 1)
            second = self.velocity(x - half[:, None, None, None] * first, t[:num] - half, exponent[:num] + 1)
            target[:num] = 0.5 * (first + second)
        return (self.velocity(x_t, t, exponent) - target).square().mean()

    def sample(self, num: int) -> Tensor:
        z = torch.randn(num, *GREY.shape)
        return z - self.velocity(z, torch.ones(num), torch.zeros(num))


def shortcut(num_rounds: int = 5) -> str:
    """Both have one pass for the whole batch, and two without a gradient for a quarter of it."""
    ours = Shortcut(GREY, sampler=FlowMap(nfe=1), dequantisation="none", net=NET)
    return against("shortcut", ours, PlainShortcut(ours.network), "in one step", num_rounds)


class PlainMeanFlow:
    """Geng et al. 2025 (arXiv 2505.13447), algorithms 1 and 2: one forward derivative for the whole batch."""

    def __init__(self, network: nn.Module, far_share: float = 0.5) -> None:
        self.network, self.far_share = network, far_share

    def average(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """At times t and r (N,)."""
        return self.network(x, torch.stack([t, t - r], 1))

    def loss(self, x_0: Tensor) -> Tensor:
        eps = torch.randn_like(x_0)
        first, second = torch.sigmoid(torch.randn(2, len(x_0)) - 0.4)
        second = torch.where(torch.arange(len(x_0)) < self.far_share * len(x_0), second, first)
        t, r = torch.maximum(first, second), torch.minimum(first, second)
        column, v = t[:, None, None, None], eps - x_0
        directions = v, torch.ones_like(t), torch.zeros_like(r)
        u, slope = torch.func.jvp(self.average, ((1.0 - column) * x_0 + column * eps, t, r), directions)
        target = v - (t - r)[:, None, None, None] * slope
        error = (u - target.detach()).square().flatten(1).sum(1)
        return (error / (error.detach() + 1e-3)).mean()

    def sample(self, num: int) -> Tensor:
        z = torch.randn(num, *GREY.shape)
        return z - self.average(z, torch.ones(num), torch.zeros(num))


def smooth(*sizes: object) -> nn.Module:
    """The same U-Net, with forward derivatives."""
    return unet_or_mlp(*sizes, hidden_channels=32, backend="math")


def meanflow(num_rounds: int = 5) -> str:
    """Ours takes the derivative for the examples alone that need it."""
    ours = MeanFlow(GREY, sampler=FlowMap(nfe=1), dequantisation="none", net=smooth)
    return against("meanflow", ours, PlainMeanFlow(ours.network), "in one step", num_rounds)
