"""Uniform noise: all examples of integer levels are equally likely. The floor of every table.

Paper: none. For integer levels the score is log2(levels) bits/dim, whatever the data are (Theis, van den Oord & Bethge
2016, arXiv 1511.01844, use it as the reference point of bits/dim).
Continuous data: uniform on the bounding box of the training set, widened by a tenth of its width on each side. A point
outside the box has log_prob -inf.
"""

import math

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

MARGIN = 0.1  # of the width of the data range, on each side


class Uniform(GenerativeModel):
    """log P(x) = -D log L for L integer levels;  log p(x) = -sum_i log width_i inside the box for continuous data."""

    family = "baseline"
    takes_sound = True
    likelihood = Likelihood.EXACT
    paper = "1511.01844"
    max_epochs = 1

    def __init__(self, spec: DataSpec, training: Training | None = None) -> None:
        super().__init__(spec, training)
        shape = () if spec.is_discrete else spec.shape
        self.register_buffer("lowest", torch.full(shape, math.inf))
        self.register_buffer("highest", torch.full(shape, -math.inf))

    def observe(self, batch: Batch) -> None:
        """The box of continuous data grows by the batch."""
        if not self.spec.is_discrete:
            x = exchange.whole_batch(batch.x)
            self.lowest.copy_(torch.minimum(self.lowest, x.amin(0)))
            self.highest.copy_(torch.maximum(self.highest, x.amax(0)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`: log-volume of the support, nats per example; no gradient."""
        return {"loss": self._log_volume()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        size = (num_samples, *self.spec.shape)
        if self.spec.is_discrete:
            return torch.randint(self.spec.num_levels, size, dtype=self.spec.dtype, device=self.device)
        low, high = self._box()
        return low + (high - low) * torch.rand(size, device=self.device)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats, exact: the same number for every example of integer levels, or for every point of the box."""
        inside = x.new_ones(len(x), dtype=torch.bool)
        if not self.spec.is_discrete:
            low, high = self._box()
            inside = ((x >= low) & (x <= high)).flatten(1).all(1)
        return torch.where(inside, -self._log_volume(), -math.inf)

    def _log_volume(self) -> Tensor:
        if self.spec.is_discrete:
            return torch.tensor(self.spec.num_dims * math.log(self.spec.num_levels), device=self.device)
        low, high = self._box()
        return (high - low).log().sum()

    def _box(self) -> tuple[Tensor, Tensor]:
        """The widened data range; [-1, 1] before any data. A coordinate that never varies gets a width of 1e-6."""
        unseen = self.lowest > self.highest
        low = torch.where(unseen, -1.0, self.lowest)
        high = torch.where(unseen, 1.0, self.highest)
        margin = (MARGIN * (high - low)).clamp_min(5e-7)
        return low - margin, high + margin
