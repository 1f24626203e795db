"""Authenticity: the share of samples that are no copies of training examples (Alaa et al. 2022, arXiv 2102.08921).

A sample is authentic when its nearest training example is nearer to some other training example than to the sample
(section 4). In percent, as in Stein et al. 2023 (arXiv 2306.04675). Differs from the paper: by default features of the
domain classifier, without the paper's embedding into a sphere; for vectors, the vectors themselves.
"""

from typing import Any

from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable, finite_rows, joined
from genarena.statistics.neighbours import nearest


def authentic(points: Tensor, train: Tensor) -> Tensor:
    """(N,) booleans: d(x, t) > d(t, t'), with t the training example nearest to x, and t' the other one nearest to t."""
    distances, index = nearest(points, train)
    to_others = nearest(train[index[:, 0]], train, k=2)[0][:, 1]  # the first is t itself, or a copy of it
    return distances[:, 0] > to_others


class AuthPct(ArenaMetric):
    """100 times the share of authentic samples; 0 for a memoriser.

    `real` in the record is the value for test examples, that is, for new data. A value well above it means samples that are
    unlike any data.
    """

    title = "AuthPct"
    unit = "%"
    higher_is_better = None

    def __init__(self) -> None:
        super().__init__()
        self.add_state("fake_authentic", default=[], dist_reduce_fx="cat")
        self.add_state("real_authentic", default=[], dist_reduce_fx="cat")
        self.num_train = 0

    def update(self, train_features: Tensor, real_features: Tensor, fake_features: Tensor) -> None:
        """Features (L, F), (N, F) and (M, F) of the training examples, test examples and samples."""
        self.num_train = len(train_features)
        if self.num_train < 2:
            raise Unavailable("needs at least 2 training examples")
        train = finite_rows("training", train_features)
        self.real_authentic.append(authentic(finite_rows("real", real_features), train))
        self.fake_authentic.append(authentic(finite_rows("fake", fake_features), train))

    def compute(self) -> float:
        return 100.0 * joined(self.fake_authentic).double().mean().item()

    def record(self) -> dict[str, Any]:
        fake, real = joined(self.fake_authentic), joined(self.real_authentic)
        return {
            "n": len(fake),
            "n_real": len(real),
            "n_train": self.num_train,
            "real": 100.0 * real.double().mean().item(),
        }
