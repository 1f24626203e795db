"""The range of continuous training data: every posterior mean E[x_0 | x_t] lies in it."""

import torch
from torch import Tensor, nn


class DataRange(nn.Module):
    """Least and largest value of each dimension over all training batches; infinite before the first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("low", torch.full(shape, torch.inf))
        self.register_buffer("high", torch.full(shape, -torch.inf))

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Take a batch (N, *shape) in; NaN, a hidden entry, is left out."""
        self.low.copy_(torch.minimum(self.low, x.where(~x.isnan(), torch.inf).amin(0)))
        self.high.copy_(torch.maximum(self.high, x.where(~x.isnan(), -torch.inf).amax(0)))

    def ends(self) -> tuple[Tensor, Tensor]:
        """Both ends (*shape); without any data the whole line."""
        seen = self.low <= self.high
        return torch.where(seen, self.low, -torch.inf), torch.where(seen, self.high, torch.inf)
