"""Mode dropping: how unlike test data samples share themselves among the classes, as classifiers of the data set see them.

KL(samples || test split) of the two histograms of predicted classes, as Metz et al. 2017 (arXiv 1611.02163) did on
stacked MNIST. 1/2 is added to every count of both (Krichevsky & Trofimov 1981), so an absent class stays finite.

Standard error: var_p(log p/q) / n + var_q(p/q) / m, the delta method for two multinomials p and q. Its second order at equal
histograms, (K - 1)/2 (1/n + 1/m)^2, is in the first two terms twice, and subtracted once.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Fresh, Unavailable
from genarena.spec import DataSpec
from genarena.statistics.frechet import Estimate

SMOOTHING = 0.5
PER_CLASS = 5  # fewest examples per class, on average, on each side


def histogram_kl(fake: Tensor, real: Tensor) -> Estimate:
    """sum_c p_c log(p_c / q_c), nats, of the smoothed counts (K,) of samples, p, and of real examples, q; and its error."""
    p, q = ((counts.double() + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (fake, real))
    ratio = p / q
    value = (p * ratio.log()).sum()
    own = (p * ratio.log().square()).sum() - value**2
    others = (q * ratio.square()).sum() - 1.0
    n, m = fake.sum().item(), real.sum().item()
    second = 0.5 * (len(fake) - 1) * (1 / n + 1 / m) ** 2
    return Estimate(value.item(), max((own / n + others / m).item() - second, second) ** 0.5)


class ClassHistogramKL(ArenaMetric):
    """KL between histograms of predicted classes; log K if only one of K equally frequent classes is drawn."""

    title = "class KL"
    unit = "nats"
    range = (0.0, None)

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real_counts", default=torch.zeros(0, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("fake_counts", default=torch.zeros(0, dtype=torch.long), dist_reduce_fx="sum")
        self.fresh: Fresh | None = None
        self.facts: dict[str, Any] = {}

    def update(
        self, real_classes: Tensor, fake_classes: Tensor, spec: DataSpec, fresh_classes: Fresh | None = None
    ) -> None:
        """Predicted classes (N,) and (M,), int64, and those of M real examples in place of samples."""
        if (spec.num_classes or 0) < 2:
            raise Unavailable("there is only one class, so that no class can be missing")
        for name, classes in (("real_counts", real_classes), ("fake_counts", fake_classes)):
            counts = torch.bincount(classes.cpu(), minlength=spec.num_classes)
            setattr(self, name, counts + getattr(self, name) if len(getattr(self, name)) else counts)
        self.fresh = fresh_classes

    def compute(self) -> float:
        fewest, needed = self._fewest(), PER_CLASS * len(self.real_counts)
        if fewest < max(1, needed):
            raise Unavailable(
                f"needs {needed:,} of both, {PER_CLASS} for each of {len(self.real_counts):,} classes; there are {fewest:,}"
            )
        value, error = histogram_kl(self.fake_counts, self.real_counts)
        self.facts = {"standard_error": error} | (self.fresh.facts(self._of) if self.fresh else {})
        return value

    def _fewest(self) -> int:
        return min(int(self.fake_counts.sum()), int(self.real_counts.sum()))

    def _of(self, classes: Tensor) -> float:
        return histogram_kl(torch.bincount(classes, minlength=len(self.real_counts)), self.real_counts).value

    def record(self) -> dict[str, Any]:
        """`by_chance`: the average score of samples from the data itself, (K - 1)/2 (1/n + 1/n_real)."""
        n, n_real = int(self.fake_counts.sum()), int(self.real_counts.sum())
        by_chance = 0.5 * (len(self.real_counts) - 1) * (1 / n + 1 / n_real) if n and n_real else None
        return {
            "n": n,
            "n_real": n_real,
            "counts": self.fake_counts.tolist(),
            "by_chance": by_chance,
            "classes_drawn": int((self.fake_counts > 0).sum()),
            "smoothing": SMOOTHING,
            **self.facts,
        }
