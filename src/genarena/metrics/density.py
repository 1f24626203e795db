"""Density: do samples lie where real examples are dense? (Naeem et al. 2020, arXiv 2002.09797, eq. 4).

Differs from the paper: by default features of the domain classifier instead of VGG-16 (`features.space` names others);
for vectors, the vectors themselves.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.metrics.base import TwoSampleMetric
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.statistics.neighbours import mean_balls_entered, squared_radii


@dataclass(frozen=True)
class DensitySettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 5


class Density(TwoSampleMetric):
    """1/k times the mean number of real k-nearest-neighbour balls that hold a sample; about 1 for the data itself."""

    title = "density"
    higher_is_better = True
    Settings = DensitySettings

    def update(self, real_features: Tensor, fake_features: Tensor) -> None:
        """Features (N, F) and (M, F)."""
        self.keep(real_features, fake_features)

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.settings.k + 1)
        return mean_balls_entered(fake, real, squared_radii(real, self.settings.k)) / self.settings.k

    def record(self) -> dict[str, Any]:
        return super().record() | {"k": self.settings.k}
