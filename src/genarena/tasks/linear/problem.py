"""N independent problems: draw x from p(x | y), y = A x + sigma n."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genarena.tasks.linear.operator import Operator
from genarena.tasks.noise import Noise


@dataclass(frozen=True)
class Problem:
    """One lane per problem: an image and a number of a draw. Nothing of a lane depends on the other lanes.

    y: (N, *observed_shape), zero where nothing is measured. sigma: in the units of x.
    The units of x are those of the model, `likelihood.to_space` (levels in [-1, 1]), once `in_space` was called; [0, 1] before.
    condition: of each lane, or None. noise: random numbers of each lane.
    """

    operator: Operator
    y: Tensor
    sigma: float
    noise: Noise
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def in_space(self) -> "Problem":
        """From images in [0, 1] to [-1, 1]: x' = 2 x - 1, y' = 2 y - A 1, sigma' = 2 sigma."""
        ones = self.operator(torch.ones((1, *self.operator.shape), dtype=self.y.dtype, device=self.y.device))
        return replace(self, y=2.0 * self.y - ones, sigma=2.0 * self.sigma)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Problem":
        condition = None if self.condition is None else self.condition.to(device)
        return replace(self, operator=self.operator.to(device), y=self.y.to(device, dtype), condition=condition)

    def rows(self, index: slice | Tensor) -> "Problem":
        condition = None if self.condition is None else self.condition[index]
        return replace(
            self, operator=self.operator.rows(index), y=self.y[index], noise=self.noise[index], condition=condition
        )

    def split(self, size: int) -> Iterator["Problem"]:
        """Parts of at most `size` lanes."""
        return (self.rows(slice(first, first + size)) for first in range(0, len(self), size))

    def residual(self, x: Tensor) -> Tensor:
        """y - A x (N, *observed_shape)."""
        return self.y - self.operator(x)

    def num_observed(self) -> Tensor:
        """Measurements of each lane, (N,) int64."""
        return self.operator.observed.flatten(1).sum(1).expand(len(self))

    def log_likelihood(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """log p(y | x) (N,) nats up to a constant, -|y - A x|^2 / (2 sigma^2); another sigma for annealing."""
        return -0.5 * self.residual(x).flatten(1).square().sum(1) / (self.sigma if sigma is None else sigma) ** 2

    def empty(self) -> Tensor:
        """Numbers (N, *shape) of the type and device of y, of any value."""
        return torch.empty(self.shape, dtype=self.y.dtype, device=self.y.device)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *shape) of x."""
        return (len(self), *self.operator.shape)
