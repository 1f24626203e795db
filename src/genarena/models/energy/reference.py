"""The reference measure of an energy: a diagonal Gaussian with the moments of the (noisy) training data."""

import math

import torch
from torch import Tensor, nn


class Reference(nn.Module):
    """N(mean, diag(variance)), moments over the first `num_batches` training batches, fixed from then on.

    N(0, I) counts as one more batch, so that every variance is positive, and chains can start before any data.
    """

    def __init__(self, shape: tuple[int, ...], num_batches: int = 100) -> None:
        super().__init__()
        self.shape, self.num_batches = shape, num_batches
        self.register_buffer("batches", torch.ones((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def observe(self, v: Tensor) -> None:
        """Add a batch (N, *shape) to the moments; does nothing after `num_batches` batches."""
        if self.batches > self.num_batches:
            return
        share = 1.0 / (self.batches + 1.0)
        distance = v.mean(0) - self.mean
        spread = v.var(0, correction=0) - self.variance
        self.variance += share * spread + share * (1.0 - share) * distance.square()
        self.mean += share * distance
        self.batches += 1

    def energy(self, v: Tensor) -> Tensor:
        """-log N(v; mean, variance) (N,) nats."""
        quadratic = (v - self.mean).square() / self.variance
        return 0.5 * (quadratic + (2.0 * math.pi * self.variance).log()).flatten(1).sum(1)

    def place(self, z: Tensor) -> Tensor:
        """Map standard normal z (N, *shape) to a draw from the measure."""
        return self.mean + self.variance.sqrt() * z

    def sample(self, num: int) -> Tensor:
        """(num, *shape)."""
        return self.place(torch.randn(num, *self.shape, device=self.mean.device))
