"""Energy distance: how far samples are from test data, about 0 for equal distributions (Szekely & Rizzo 2013).

doi 10.1016/j.jspi.2013.03.018. Of vectors. Every coordinate is divided by its standard deviation in the training set. Differs
from the paper: the unbiased estimate, without pairs of an example with itself, whose expectation is the distance at any number
of examples; so it can be negative.
"""

from torch import Tensor

from genarena.metrics.base import Fresh, KernelMetric
from genarena.statistics.kernel import minus_distance


class EnergyDistance(KernelMetric):
    """2 E|x - y| - E|x - x'| - E|y - y'|, Euclidean, over test examples x and samples y."""

    title = "energy distance"
    kernel = staticmethod(minus_distance)

    def update(self, real_vectors: Tensor, fake_vectors: Tensor, fresh_vectors: Fresh | None = None) -> None:
        """Standardised vectors (N, D) and (M, D), and M real ones in place of samples."""
        self.keep(real_vectors, fake_vectors, fresh_vectors)
