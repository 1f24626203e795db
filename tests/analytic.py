"""Worlds with known answers."""

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal


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
