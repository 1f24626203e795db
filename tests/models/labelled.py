"""Data N(m, 0.8^2) in each dimension, m by label, and the networks that models in continuous time should learn for it."""

import math

import torch
from torch import Tensor, nn

from genarena.models.diffusion.times import column
from tests.analytic import Normal

MEANS = torch.tensor([-1.0, 0.0, 1.5])  # of labels
WORLD = Normal(0.4, 0.8)  # without a label; a spread that is not sigma_data of `EDM`


def mean_of(world: Normal, context: Tensor | None) -> Tensor | float:
    """Of the label of each example; of the world without one."""
    means = torch.cat([MEANS, torch.tensor([world.mean])])
    return world.mean if context is None else (context @ means)[:, None]


def data(num: int, dims: int = 2) -> Tensor:
    return WORLD.mean + WORLD.spread * torch.randn(num, dims)


def pulled_back(x: Tensor, mean: Tensor) -> Tensor:
    """(N,) log-density of x if the last marginal, N(mean, 80^2 + 0.8^2), is taken for N(0, 80^2 + 0.5^2), as `EDM` does."""
    z = (x.double() - mean) / WORLD.spread
    last = (mean + math.hypot(80.0, WORLD.spread) * z) / math.hypot(80.0, 0.5)
    log_det = math.log(math.hypot(80.0, WORLD.spread) / (WORLD.spread * math.hypot(80.0, 0.5)))
    return (torch.distributions.Normal(0.0, 1.0).log_prob(last) + log_det).sum(1)


class BestDenoiser(nn.Module):
    """F = (E[x_0 | x] - c_skip x) / c_out for data N(mean, spread^2), from c_in x and ln(sigma) / 4."""

    def __init__(self, world: Normal = WORLD, sigma_data: float = 0.5) -> None:
        super().__init__()
        self.world, self.sigma_data, self.seen = world, sigma_data, []

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        self.seen.append((4.0 * t).exp())
        sigma, data = column((4.0 * t.double()).exp(), x), self.sigma_data
        total = (sigma**2 + data**2).sqrt()
        x = x * total
        m, variance = mean_of(self.world, context), self.world.spread**2
        x_0 = m + variance / (variance + sigma**2) * (x - m)
        return ((x_0 - data**2 / total**2 * x) / (sigma * data / total)).float()


class BestVelocity(nn.Module):
    """E[eps - x_0 | x_t] for data N(mean, spread^2) in each dimension, plus `bias`."""

    def __init__(self, world: Normal = WORLD, bias: float = 0.0) -> None:
        super().__init__()
        self.world, self.bias = world, bias

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        m, variance, t = mean_of(self.world, context), self.world.spread**2, column(t, x)
        a = 1.0 - t
        return (t - variance * a) / (a**2 * variance + t**2) * (x - a * m) - m + self.bias


class BestAverage(nn.Module):
    """u(x_t, t, t - d) for data N(mean, spread^2) in each dimension, plus `bias` d; times (N, 2) are t and d.

    With D(s)^2 = (1 - s)^2 spread^2 + s^2 the map of the flow is x_r = (1 - r) mean + D(r) / D(t) (x_t - (1 - t) mean).
    """

    def __init__(self, world: Normal = WORLD, bias: float = 0.0) -> None:
        super().__init__()
        self.world, self.bias = world, bias

    def forward(self, x: Tensor, times: Tensor, context: Tensor | None = None) -> Tensor:
        m, variance = mean_of(self.world, context), self.world.spread**2
        t, d = (column(part, x) for part in times.unbind(1))
        at, after = (((1.0 - s) ** 2 * variance + s**2).sqrt() for s in (t, t - d))
        rate = ((1.0 + variance) * (2.0 * t - d) - 2.0 * variance) / (at * (at + after))  # (1 - D(r) / D(t)) / d
        return rate * (x - (1.0 - t) * m) - m + self.bias * d
