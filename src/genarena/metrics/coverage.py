"""Coverage: the share of real examples with a sample nearby (Naeem et al. 2020, arXiv 2002.09797, eq. 5).

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
class CoverageSettings(Settings):
    """k: the neighbour at the rim of a ball."""

    k: Count = 5


class Coverage(ManifoldMetric):
    """Share of the real k-nearest-neighbour balls that hold at least one sample. About 1 - 2^-k for the data itself."""

    title = "coverage"
    range = (0.0, 1.0)
    higher_is_better = None
    towards_real = True
    Settings = CoverageSettings

    def values(self, overlap: Overlap) -> Tensor:
        """1 for each test example whose ball holds some sample."""
        return (overlap.real.points > 0).double()
