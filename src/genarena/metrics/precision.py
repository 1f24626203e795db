"""Improved precision: which share of the samples looks like data? (Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2).

Differs from the paper: by default features of the domain classifier instead of VGG-16 (`features.space` names others);
for vectors, the vectors themselves.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.metrics.base import TwoSampleMetric
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.statistics.neighbours import share_inside_any, squared_radii


@dataclass(frozen=True)
class PrecisionSettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 3


class Precision(TwoSampleMetric):
    """Share of the samples inside the k-nearest-neighbour ball of some real example (radius: to its k-th real neighbour)."""

    title = "precision"
    higher_is_better = True
    Settings = PrecisionSettings

    def update(self, real_features: Tensor, fake_features: Tensor) -> None:
        """Features (N, F) and (M, F)."""
        self.keep(real_features, fake_features)

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.settings.k + 1)
        return share_inside_any(fake, real, squared_radii(real, self.settings.k))

    def record(self) -> dict[str, Any]:
        return super().record() | {"k": self.settings.k}
