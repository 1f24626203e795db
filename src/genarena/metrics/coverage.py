"""Coverage: the share of real examples with a sample nearby (Naeem et al. 2020, arXiv 2002.09797, eq. 5).

Differs from the paper: by default features of the domain classifier instead of VGG-16 (`features.space` names others);
for vectors, the vectors themselves.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.metrics.base import TwoSampleMetric
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.statistics.neighbours import share_balls_entered, squared_radii


@dataclass(frozen=True)
class CoverageSettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 5


class Coverage(TwoSampleMetric):
    """Share of the real k-nearest-neighbour balls that hold at least one sample. About 1 - 2^-k for the data itself."""

    title = "coverage"
    higher_is_better = True
    Settings = CoverageSettings

    def update(self, real_features: Tensor, fake_features: Tensor) -> None:
        """Features (N, F) and (M, F)."""
        self.keep(real_features, fake_features)

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.settings.k + 1)
        return share_balls_entered(fake, real, squared_radii(real, self.settings.k))

    def record(self) -> dict[str, Any]:
        return super().record() | {"k": self.settings.k}
