"""Density: do samples lie where real examples are dense? (Naeem et al. 2020, arXiv 2002.09797, eq. 4).

Differs from the paper: by default features of the domain classifiers instead of VGG-16 (`features.space` names others);
for vectors, the vectors themselves.
"""

from dataclasses import dataclass

from torch import Tensor

from genarena.metrics.base import ManifoldMetric
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.statistics.manifolds import Overlap


@dataclass(frozen=True)
class DensitySettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 5


class Density(ManifoldMetric):
    """1/k times the mean number of real k-nearest-neighbour balls that hold a sample; about 1 for the data itself."""

    title = "density"
    range = (0.0, None)
    higher_is_better = None
    towards_real = True
    Settings = DensitySettings

    def values(self, overlap: Overlap) -> Tensor:
        """1/k times the number of balls around real examples that hold the sample."""
        return overlap.real.balls.double() / self.settings.k
