"""Memorisation: are samples nearer to training examples than unseen examples are?

Euclidean distances between pixel levels (or vectors). After Meehan, Chaudhuri & Dasgupta 2020 (arXiv 2004.05675), who
compare the same two sets of distances with a rank test; the ratio of medians shows the size of the difference too.
"""

from typing import Any

from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from genarena.metrics.base import ArenaMetric, Unavailable, content_order
from genarena.statistics.neighbours import nearest_distances

QUERIES = 2_000  # samples and test examples: enough for medians within about 1%, affordable for large training sets


class NearestNeighbourRatio(ArenaMetric):
    """median d(sample, nearest training example) / median d(test example, nearest training example).

    0 for copies of the training set, 1 for samples as new as the test split. Well above 1: samples unlike any data.
    """

    title = "NN ratio"
    higher_is_better = None

    def __init__(self) -> None:
        super().__init__()
        self.add_state("fake_distances", default=[], dist_reduce_fx="cat")
        self.add_state("real_distances", default=[], dist_reduce_fx="cat")

    def update(self, fake: Tensor, real: Tensor, train: Tensor, fake_order: Tensor) -> None:
        """Samples, test and training examples (N, *shape).

        2,000 of the samples and 2,000 of the test examples are used: the first of each in an order by content.
        """
        some = real[content_order(real)[:QUERIES]]
        for queries, distances in ((fake[fake_order[:QUERIES]], self.fake_distances), (some, self.real_distances)):
            left = QUERIES - sum(map(len, distances))
            if left > 0 and len(queries):
                distances.append(nearest_distances(queries[:left], train))

    def compute(self) -> float:
        median = dim_zero_cat(self.real_distances).quantile(0.5)
        if median == 0:
            raise Unavailable("at least half of the test examples are copies of training examples")
        return (dim_zero_cat(self.fake_distances).quantile(0.5) / median).item()

    def record(self) -> dict[str, Any]:
        """`copies`: share of the samples that equal a training example; `copies_real`: that share of the test examples."""
        fake, real = dim_zero_cat(self.fake_distances), dim_zero_cat(self.real_distances)
        return {
            "n": len(fake),
            "n_real": len(real),
            "median_distance": fake.quantile(0.5).item(),
            "copies": (fake == 0).double().mean().item(),
            "copies_real": (real == 0).double().mean().item(),
        }
