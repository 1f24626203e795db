"""Two-sample test: how often a classifier tells samples from data, 1/2 if it cannot (Lopez-Paz & Oquab 2017, arXiv 1610.06545).

Of vectors. The share of held-out rows that a classifier, trained on the others, gives to the right set: 1/2 for equal
distributions, 1 if no sample can be mistaken. As many test examples as samples, at most 10,000 each; 5 folds, so that every row
is held out once. A hash of a row's content decides its fold.

Differs from the paper: gradient-boosted trees of scikit-learn instead of a network of 20 units. On shifts, other spreads and
correlations in 2 to 40 dimensions they see more than nearest neighbours, and as much as networks in a fraction of the time.
"""

from typing import Any

import numpy as np
from torch import Tensor

from genarena.metrics.base import Fresh, TwoSampleMetric
from genarena.statistics.rows import content_order

FOLDS = 5
LARGEST = 10_000  # rows of each set
TREES = 50


def held_out_accuracy(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the rows of two sets (N, D) and (N, D) that are told apart by a classifier that has not seen them."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, labels = np.concatenate([first, second]), np.repeat([0, 1], len(first))
    fold, right = np.concatenate([np.arange(len(first)) % FOLDS] * 2), 0
    for number in range(FOLDS):
        held_out = fold == number
        classifier = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=0)
        classifier.fit(rows[~held_out], labels[~held_out])
        right += int((classifier.predict(rows[held_out]) == labels[held_out]).sum())
    return right / len(rows)


class ClassifierTwoSampleTest(TwoSampleMetric):
    """Held-out accuracy of a classifier between test examples and samples; that of real examples, the best, is about 1/2."""

    title = "C2ST"
    range = (0.0, 1.0)
    higher_is_better = None
    towards_real = True
    min_examples = 100
    too_few = "a classifier learns nothing from fewer"

    def update(self, real_vectors: Tensor, fake_vectors: Tensor, fresh_vectors: Fresh | None = None) -> None:
        """Standardised vectors (N, D) and (M, D), and M real ones in place of samples."""
        self.keep(real_vectors, fake_vectors, fresh_vectors)

    def compute(self) -> float:
        """`standard_error`: (a (1 - a) / n)^(1/2) for n rows in each set, that of one held-out half.

        The classifiers of the folds share rows, so that their errors are not independent: over repeated draws of equal sets
        the accuracy of all 2 n rows varies by 0.95 of this, and by 1.35 of what 2 n independent rows would.
        """
        real, fake = self.rows(at_least=2 * FOLDS)
        value, used = self._between(real, fake)
        self.facts = {"standard_error": (value * (1.0 - value) / used) ** 0.5, "n_each": used, "folds": FOLDS}
        self.facts |= self.real_facts(lambda rows: self._between(real, rows)[0])
        return value

    def _between(self, real: Tensor, other: Tensor) -> tuple[float, int]:
        """The accuracy, and how many rows of each set were used."""
        used = min(len(real), len(other), LARGEST)
        return held_out_accuracy(*(rows[content_order(rows)[:used]].numpy() for rows in (real, other))), used

    def record(self) -> dict[str, Any]:
        return super().record() | {"classifier": f"gradient boosting, {TREES} trees"}
