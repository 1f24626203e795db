"""Ancestral sampling in a few steps of given sizes (Kong et al. 2021, arXiv 2009.09761, sec. 3 and app. B: fast sampling).

Differs from the paper: predictions are clipped to the range of the data, as in the other samplers (`clip: false`); noise levels
between those of training are found by the ratio of noise and data instead of by the amount of data.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Ancestral
from genarena.options.values import Count


@dataclass(frozen=True)
class GivenBetas(Ancestral):
    """The reverse chain of the steps x_s to x_t = sqrt(1 - beta) x_s + sqrt(beta) eps, whatever steps the model was trained on.

    betas: the variances, that of the step next to the data first. nfe: null, or their number.
    Raises ValueError for none, or one that is not between 0 and 1; and for another `nfe`.
    """

    nfe: Count | None = None
    betas: Sequence[float] = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        super().__post_init__()
        if not self.betas or not all(0.0 < beta < 1.0 for beta in self.betas):
            raise ValueError(f"sampler.betas={list(self.betas)}: expected numbers between 0 and 1")
        if self.nfe not in (None, len(self.betas)):
            raise ValueError(f"sampler.nfe={self.nfe}: expected null, one for each of the {len(self.betas)} betas")

    def num_steps(self, most: int | None) -> int:
        return len(self.betas)

    def levels(self, path: Callable[[int], list[Level]], most: int | None) -> list[Level]:
        squares = [math.prod(1.0 - beta for beta in self.betas[:k]) for k in range(len(self.betas), -1, -1)]
        return [Level(math.sqrt(square), math.sqrt(1.0 - square)) for square in squares]
