"""Authenticity: the share of samples that are no copies of training examples (Alaa et al. 2022, arXiv 2102.08921).

A sample is authentic when its nearest training example is nearer to some other training example than to the sample
(section 4). In percent, as in Stein et al. 2023 (arXiv 2306.04675). Differs from the paper: by default features of the
domain classifiers, without the paper's embedding into a sphere; for vectors, the vectors themselves.
"""

import math
from typing import Any

from torch import Tensor

from genarena.metrics.base import ArenaMetric
from genarena.statistics.copying import CHANCE, excess

LEAST = 0.5  # an alarm is given below this share of what test examples have


class AuthPct(ArenaMetric):
    """100 times the share of authentic samples; 0 for a memoriser.

    `real` in the record is the value for test examples, that is, for new data. A value well above it means samples that are
    unlike any data.
    """

    title = "AuthPct"
    unit = "%"
    range = (0.0, 100.0)
    higher_is_better = None
    towards_real = True
    min_examples = 20
    too_few = "a share of fewer says little"

    def update(self, fake_authentic: Tensor, real_authentic: Tensor, train_features: Tensor) -> None:
        """Whether samples (M,) and test examples (N,) are authentic, with respect to training examples (L, F)."""
        self.fake, self.real, self.num_train = fake_authentic, real_authentic, len(train_features)

    def compute(self) -> float:
        return 100.0 * self.fake.double().mean().item()

    def record(self) -> dict[str, Any]:
        n, share, usual = len(self.fake), self.fake.double().mean().item(), self.real.double().mean().item()
        facts = {
            "n": n,
            "n_real": len(self.real),
            "n_train": self.num_train,
            "standard_error": 100.0 * math.sqrt(share * (1.0 - share) / n),
            "real": 100.0 * usual,
            "real_from": "test",
        }
        return facts | self._alarm(share, usual)

    def _alarm(self, share: float, usual: float) -> dict[str, str]:
        copies = [int((~side).sum()) for side in (self.fake, self.real)]
        chance = excess(copies[0], len(self.fake), copies[1], len(self.real))
        if share >= LEAST * usual or chance >= CHANCE:
            return {}
        return {
            "alarm": f"{100 * share:.0f}% of the samples, and {100 * usual:.0f}% of the test examples, are further from the "
            f"training examples than these from each other (p < {CHANCE:g})"
        }
