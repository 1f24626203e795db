"""Improved recall: which share of the data do the samples cover? (Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2).

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
class RecallSettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 3


class Recall(ManifoldMetric):
    """Share of the real examples inside the k-nearest-neighbour ball of some sample (radius: to its k-th other sample)."""

    title = "recall"
    range = (0.0, 1.0)
    higher_is_better = None
    towards_real = True
    Settings = RecallSettings

    def values(self, overlap: Overlap) -> Tensor:
        """1 for each test example that is in some ball around a sample."""
        return (overlap.fake.balls > 0).double()
