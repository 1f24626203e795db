"""Memorisation: how far samples are from the training set, over the same of unseen examples; 0 copies, 1 as new as those.

Euclidean distances between pixel levels (or vectors). After Meehan, Chaudhuri & Dasgupta 2020 (arXiv 2004.05675), who
compare the same two sets of distances with a rank test; the ratio of medians shows the size of the difference too. Images are
compared at shifts by up to a pixel as well, or a copy that is shifted by one would pass as new.

The alarm follows Carlini et al. 2023 (arXiv 2301.13188, sec. 4.2): a copy is much nearer to one training example than to the
50th nearest, which samples that are blurred or plain are not. How much nearer is measured on test examples.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.statistics.copying import CHANCE, Closeness, excess

RESAMPLED = 200  # bootstrap draws
CLOSE = 0.5  # largest share of the usual distance at which a sample counts as close to an example
QUANTILE = 0.01  # and at most this share of the test examples may be as close

MORE = 0.03  # an alarm needs this larger a share of close samples than of close test examples


class NearestNeighbourRatio(ArenaMetric):
    """median d(sample, nearest training example) / median d(test example, nearest training example).

    0 for copies of the training set, 1 for samples as new as the test split. Well above 1: samples unlike any data.
    """

    title = "NN ratio"
    range = (0.0, None)
    higher_is_better = None
    towards_real = True

    def __init__(self) -> None:
        super().__init__()
        self.fake: Closeness | None = None
        self.real: Closeness | None = None

    def update(self, fake_closeness: Closeness, real_closeness: Closeness, train: Tensor) -> None:
        """How close samples (n,) and test examples (m,) are to the training examples (N, *shape)."""
        self.fake, self.real, self.num_train = fake_closeness, real_closeness, len(train)

    def compute(self) -> float:
        median = self.real.nearest.quantile(0.5)
        if median == 0:
            raise Unavailable("at least half of the test examples are copies of training examples")
        return (self.fake.nearest.quantile(0.5) / median).item()

    def record(self) -> dict[str, Any]:
        """`copies`: share of the samples that equal a training example, shifted or not; `close`: share of those much nearer to
        one example than to others; with `_real` the shares of the test examples."""
        fake, real = self.fake, self.real
        close, close_real, threshold = self._close()
        return {
            "n": len(fake.nearest),
            "n_real": len(real.nearest),
            "n_train": self.num_train,
            "standard_error": self._standard_error(),
            "real": 1.0,
            "real_from": "test",
            "median_distance": fake.nearest.quantile(0.5).item(),
            "copies": (fake.nearest == 0).double().mean().item(),
            "copies_real": (real.nearest == 0).double().mean().item(),
            "close": close / len(fake.nearest),
            "close_real": close_real / len(real.nearest),
            "close_below": threshold,
        } | self._alarm(close, close_real)

    def _close(self) -> tuple[int, int, float]:
        """How many samples and test examples are close to an example, and the largest share of the usual distance for it."""
        fake, real = (torch.where(side.usual > 0, side.nearest / side.usual, 0.0) for side in (self.fake, self.real))
        threshold = min(CLOSE, real.sort().values[int(QUANTILE * len(real))].item())
        if threshold == 0:
            return int((fake == 0).sum()), int((real == 0).sum()), threshold
        return int((fake < threshold).sum()), int((real < threshold).sum()), threshold

    def _alarm(self, close: int, close_real: int) -> dict[str, str]:
        n, m = len(self.fake.nearest), len(self.real.nearest)
        chance = excess(close, n, close_real, m)
        if chance >= CHANCE or close / n < close_real / m + MORE:
            return {}
        return {
            "alarm": f"{100 * close / n:.0f}% of the samples, and {100 * close_real / m:.1f}% of the test examples, are nearly "
            f"copies of a training example (p < {CHANCE:g})"
        }

    def _standard_error(self) -> float:
        """Bootstrap over samples and over test examples."""
        generator, medians = torch.Generator().manual_seed(0), []
        for side in (self.fake, self.real):
            distances = side.nearest.sort().values
            drawn = torch.randint(len(distances), (RESAMPLED, len(distances)), generator=generator)
            medians.append(distances[drawn].quantile(0.5, dim=1))
        return (medians[0] / medians[1].clamp_min(1e-300)).std().item()
