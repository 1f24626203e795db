"""The data of models of noise: levels as points of [-1, 1] with the noise of their bins, and the range of the data."""

import math
from typing import Literal

import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.data_range import DataRange
from genarena.nets.whitening import Whitening
from genarena.options.values import Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

Dequantisation = Literal["none", "uniform"]


class NoisedData(GenerativeModel):
    """Levels of data are scaled to [-1, 1], continuous data is not; it should have about unit scale.

    dequantisation: "uniform" adds uniform noise of the width of a bin to integer levels in training, so that their density is
    bounded; rounding takes it away from samples.
    whitening: coefficients of linear prediction by the mel (`nets/whitening.py`); the path to noise starts from what that
    leaves of sound. 0 for none.
    """

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None,
        condition_dropout: float,
        dequantisation: Dequantisation = "none",
        whitening: Whole = 0,
    ) -> None:
        super().__init__(spec, training, condition_dropout)
        self.whitening = Whitening.of(spec, whitening, condition_dropout)
        self.range = None if spec.is_discrete else DataRange(spec.shape)
        self.bin_width = 2.0 / (spec.num_levels - 1) if spec.is_discrete else 0.0
        self.dequantisation = dequantisation

    def observe(self, batch: Batch) -> None:
        """Continuous data: the range of the training examples, for the samplers."""
        if self.range:
            self.range.observe(exchange.whole_batch(batch.x))

    def scaled(self, x: Tensor) -> Tensor:
        """x_0 (N, *shape): levels scaled to [-1, 1], or the continuous data itself."""
        return to_space(x, self.spec)

    def training_points(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x_0 (N, *shape), with the noise of `dequantisation`, whitened if the model does so."""
        x_0 = self.scaled(x)
        if self.spec.is_discrete and self.dequantisation == "uniform":
            x_0 = self.with_noise(x_0)
        return self.whitened(x_0, y)[0]

    def whitened(self, x_0: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | float]:
        """What the path to noise starts from, for scaled data x_0 and its condition, and the log-determinant (N,)."""
        return (x_0, 0.0) if self.whitening is None else self.whitening(x_0, self.conditioning.frames(y))

    def coloured(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The inverse of `whitened`."""
        return x if self.whitening is None else self.whitening.inverse(x, self.conditioning.frames(y))

    def with_noise(self, x_0: Tensor) -> Tensor:
        """Scaled levels, moved uniformly within their bins."""
        return x_0 + self.bin_width * (torch.rand_like(x_0) - 0.5)

    @property
    def ends(self) -> tuple[Tensor | float, Tensor | float]:
        """The range of the data, in which every posterior mean lies; for levels with noise, of their bins; what is whitened
        has none."""
        if self.whitening is not None:
            return -math.inf, math.inf
        if self.range:
            return self.range.ends()
        margin = 0.5 * self.bin_width if self.dequantisation == "uniform" else 0.0
        return -1.0 - margin, 1.0 + margin
