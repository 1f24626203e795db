"""Mode dropping: how often each class is drawn, by the predictions of the domain classifier.

KL(samples || test split) of the two histograms of predicted classes, as Metz et al. 2017 (arXiv 1611.02163) did on
stacked MNIST. 1/2 is added to every count of both (Krichevsky & Trofimov 1981), so an absent class stays finite.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.spec import DataSpec

SMOOTHING = 0.5


def histogram_kl(fake: Tensor, real: Tensor) -> float:
    """sum_c p_c log(p_c / q_c), nats, of the smoothed counts (K,) of samples, p, and of real examples, q."""
    p, q = ((counts.double() + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (fake, real))
    return (p * (p / q).log()).sum().item()


class ClassHistogramKL(ArenaMetric):
    """KL between histograms of predicted classes; log K if only one of K equally frequent classes is drawn."""

    title = "class KL"
    unit = "nats"

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real_counts", default=torch.zeros(0, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("fake_counts", default=torch.zeros(0, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, real_classes: Tensor, fake_classes: Tensor, spec: DataSpec) -> None:
        """Predicted classes (N,) and (M,), int64."""
        for name, classes in (("real_counts", real_classes), ("fake_counts", fake_classes)):
            counts = torch.bincount(classes.cpu(), minlength=spec.num_classes)
            setattr(self, name, counts + getattr(self, name) if len(getattr(self, name)) else counts)

    def compute(self) -> float:
        if not self.fake_counts.sum() or not self.real_counts.sum():
            raise Unavailable("there are no examples to count")
        return histogram_kl(self.fake_counts, self.real_counts)

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
        }
