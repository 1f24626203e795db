"""Improved precision: which share of the samples looks like data? (Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2).

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
class PrecisionSettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 3


class Precision(ManifoldMetric):
    """Share of the samples inside the k-nearest-neighbour ball of some real example (radius: to its k-th real neighbour)."""

    title = "precision"
    range = (0.0, 1.0)
    higher_is_better = None
    towards_real = True
    Settings = PrecisionSettings

    def values(self, overlap: Overlap) -> Tensor:
        """1 for each sample that is in some ball around a real example."""
        return (overlap.real.balls > 0).double()
