"""Worlds with known answers: linear-Gaussian data, and data with exact denoisers on any Gaussian path."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised


class Affine(nn.Module):
    """x -> (weight x + bias, log_var): an encoder or a decoder of a linear-Gaussian model."""

    def __init__(self, weight: Tensor, bias: Tensor, log_var: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.log_var = weight, bias, log_var

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return torch.cat([x @ self.weight.T + self.bias, self.log_var.expand(len(x), -1)], 1)


class LinearGaussian:
    """x = W z + b + noise eps, z ~ N(0, I) of two dimensions, x of four; W has orthogonal columns of lengths `scales`.

    So the posterior is a diagonal normal, N(gain (x - b), diag(variance)), and log p(x) is in closed form.
    """

    def __init__(self, scales: tuple[float, float] = (1.5, 0.3), noise: float = 0.7) -> None:
        lengths = torch.tensor(scales)
        self.noise, self.bias = noise, torch.randn(4)
        self.weight = torch.linalg.qr(torch.randn(4, 2)).Q * lengths
        self.variance = 1.0 / (1.0 + lengths**2 / noise**2)
        self.gain = self.variance.diag() @ self.weight.T / noise**2

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (N,) nats."""
        covariance = self.weight @ self.weight.T + self.noise**2 * torch.eye(4)
        return MultivariateNormal(self.bias, covariance).log_prob(x)

    def decoder(self) -> Affine:
        """z to mean and log-variance of p(x|z)."""
        return Affine(self.weight, self.bias, torch.full((4,), self.noise).square().log())

    def encoder(self) -> Affine:
        """x to mean and log-variance of the true posterior."""
        return Affine(self.gain, -self.gain @ self.bias, self.variance.log())


@dataclass(frozen=True)
class Normal:
    """N(mean, spread^2) in each dimension."""

    mean: float = 0.4
    spread: float = 0.5

    def denoise(self, x: Tensor, level: Level) -> Denoised:
        """E[x_0 | x]."""
        gain = self.spread**2 * level.a / self.deviation(level) ** 2
        return Denoised(self.mean + gain * (x - level.a * self.mean))

    def deviation(self, level: Level) -> float:
        """Of the marginal of x."""
        return math.hypot(level.a * self.spread, level.s)

    def flow(self, x: Tensor, start: Level, end: Level) -> Tensor:
        """Where the probability-flow ODE takes x: quantiles of the marginals are kept."""
        scale = self.deviation(end) / self.deviation(start)
        return end.a * self.mean + scale * (x - start.a * self.mean)


@dataclass(frozen=True)
class Mixture:
    """sum_k weights_k N(means_k, spread^2) in one dimension."""

    weights: tuple[float, ...] = (0.3, 0.7)
    means: tuple[float, ...] = (-1.0, 0.5)
    spread: float = 0.2

    def marginal(self, level: Level) -> torch.distributions.MixtureSameFamily:
        """The density of x."""
        means = torch.tensor(self.means, dtype=torch.float64)
        deviation = math.hypot(level.a * self.spread, level.s)
        return torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(torch.tensor(self.weights, dtype=torch.float64)),
            torch.distributions.Normal(level.a * means, torch.full_like(means, deviation)),
        )

    def denoise(self, x: Tensor, level: Level) -> Denoised:
        """E[x_0 | x], the components' posterior means weighed by their posterior probabilities."""
        means, weights = (torch.tensor(part, dtype=x.dtype) for part in (self.means, self.weights))
        variance = (level.a * self.spread) ** 2 + level.s**2
        off = x[..., None] - level.a * means
        chosen = (weights.log() - 0.5 * off.square() / variance).softmax(-1)
        return Denoised((chosen * (means + self.spread**2 * level.a / variance * off)).sum(-1))

    def flow(self, x: Tensor, start: Level, end: Level) -> Tensor:
        """Where the probability-flow ODE takes x: quantiles are kept, by bisection of the distribution function."""
        wanted, low, high = self.marginal(start).cdf(x), torch.full_like(x, -200.0), torch.full_like(x, 200.0)
        target = self.marginal(end)
        for _ in range(80):
            middle = 0.5 * (low + high)
            above = target.cdf(middle) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return 0.5 * (low + high)


class BinaryJoint:
    """Any distribution p of {0, 1}^3, with exact conditionals. A state (x_1, x_2, x_3) has the index 4 x_1 + 2 x_2 + x_3."""

    def __init__(self, masses: Tensor) -> None:
        """masses (8,): of all states; they sum to one."""
        self.masses = masses.double()
        self.states = torch.cartesian_prod(*[torch.arange(2)] * 3)  # (8, 3)

    def entropy(self) -> float:
        """In nats."""
        return -(self.masses * self.masses.log()).sum().item()

    def log_prob(self, x: Tensor) -> Tensor:
        """(N,) nats of states x (N, 3)."""
        return self.masses.log()[self.index(x)]

    def index(self, x: Tensor) -> Tensor:
        """(N,) of states x (N, 3)."""
        return x.long() @ torch.tensor([4, 2, 1])

    def conditionals(self, x: Tensor, masked: Tensor) -> Tensor:
        """log p(x_i = v | the dimensions of x that are not masked), (N, 2, 3); x and masked (N, 3)."""
        agrees = ((self.states == x[:, None]) | masked[:, None]).all(2)  # (N, 8)
        posterior = agrees * self.masses
        ones = posterior @ self.states.double() / posterior.sum(1, keepdim=True)
        return torch.stack([1.0 - ones, ones], 1).clamp_min(1e-300).log()
