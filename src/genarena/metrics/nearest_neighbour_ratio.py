"""Memorisation: how far samples are from the training set, over the same of unseen examples; 0 copies, 1 as new as those.

Euclidean distances between pixel levels (or vectors). After Meehan, Chaudhuri & Dasgupta 2020 (arXiv 2004.05675), who
compare the same two sets of distances with a rank test; the ratio of medians shows the size of the difference too. Images are
compared at shifts by up to a pixel as well, or a copy that is shifted by one would pass as new.

The alarm follows Carlini et al. 2023 (arXiv 2301.13188, sec. 4.2): a copy is much nearer to one training example than to the
50th nearest, which samples that are blurred or plain are not. How much nearer is measured on test examples. Copies of
validation and test examples are found in the same way. Not found are copies that are mirrored, shifted by more than `shift`, or
have as much noise as examples differ by.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.statistics.copying import CHANCE, Closeness, excess

RESAMPLED = 200  # bootstrap draws
CLOSE = 0.5  # largest share of the usual distance at which a sample counts as close to an example
QUANTILE = 0.01  # and at most this share of the test examples may be as close

MORE = 0.03  # an alarm needs this larger a share of close samples than of close test examples


class _Near(NamedTuple):
    """How many of n samples and of m real examples are much nearer to one of some examples than to others of these: at most
    `threshold` of the usual distance away."""

    close: int
    n: int
    close_real: int
    m: int
    threshold: float

    @classmethod
    def of(cls, fake: Closeness, real: Closeness) -> "_Near":
        sides = [torch.where(side.usual > 0, side.nearest / side.usual, 0.0) for side in (fake, real)]
        threshold = min(CLOSE, sides[1].sort().values[int(QUANTILE * len(sides[1]))].item())
        close = [int(((side < threshold) if threshold else (side == 0)).sum()) for side in sides]
        return cls(close[0], len(sides[0]), close[1], len(sides[1]), threshold)

    @property
    def share(self) -> float:
        return self.close / self.n

    @property
    def usual(self) -> float:
        return self.close_real / self.m

    def alarm(self, of: str, real: str) -> dict[str, str]:
        """`alarm`, if the samples are copies. of: what these examples are. real: what the others are."""
        chance = excess(self.close, self.n, self.close_real, self.m)
        if chance >= CHANCE or self.share < self.usual + MORE:
            return {}
        return {
            "alarm": f"{100 * self.share:.0f}% of the samples, and {100 * self.usual:.1f}% of the {real} examples, are nearly "
            f"copies of a {of} example (p < {CHANCE:g})"
        }


class NearestNeighbourRatio(ArenaMetric):
    """median d(sample, nearest training example) / median d(test example, nearest training example).

    0 for copies of the training set, 1 for samples as new as the test split. Well above 1: samples unlike any data.
    """

    title = "NN ratio"
    range = (0.0, None)
    higher_is_better = None
    towards_real = True
    min_examples = 20
    too_few = "medians of fewer say little"

    def __init__(self) -> None:
        super().__init__()
        self.fake: Closeness | None = None
        self.real: Closeness | None = None
        self.held_out: tuple[Closeness, Closeness] | None = None

    def update(
        self,
        fake_closeness: Closeness,
        real_closeness: Closeness,
        train: Tensor,
        fake_held_out: Closeness | None = None,
        fresh_held_out: Closeness | None = None,
    ) -> None:
        """How close samples (n,) and test examples (m,) are to the training examples (N, *shape); and samples and training
        examples to validation and test examples."""
        self.fake, self.real, self.num_train = fake_closeness, real_closeness, len(train)
        self.held_out = None if fresh_held_out is None else (fake_held_out, fresh_held_out)

    def compute(self) -> float:
        median = self.real.nearest.quantile(0.5)
        if median == 0:
            raise Unavailable("at least half of the test examples are copies of training examples")
        return (self.fake.nearest.quantile(0.5) / median).item()

    def record(self) -> dict[str, Any]:
        """`copies`: share of the samples that equal a training example, shifted or not; `close`: share of those much nearer to
        one example than to others; with `_real` the shares of the test examples. `held_out_close`: much nearer to one
        validation or test example than to others; with `_real` the share of the training examples."""
        fake, real = self.fake, self.real
        near = _Near.of(fake, real)
        found = {
            "n": len(fake.nearest),
            "n_real": len(real.nearest),
            "n_train": self.num_train,
            "standard_error": self._standard_error(),
            "real": 1.0,
            "real_from": "test",
            "median_distance": fake.nearest.quantile(0.5).item(),
            "copies": (fake.nearest == 0).double().mean().item(),
            "copies_real": (real.nearest == 0).double().mean().item(),
            "close": near.share,
            "close_real": near.usual,
            "close_below": near.threshold,
        }
        if self.held_out is None:
            return found | near.alarm("training", "test")
        held_out = _Near.of(*self.held_out)
        found |= {"held_out_close": held_out.share, "held_out_close_real": held_out.usual}
        return found | held_out.alarm("validation or test", "training") | near.alarm("training", "test")

    def _standard_error(self) -> float:
        """Bootstrap over samples and over test examples."""
        generator, medians = torch.Generator().manual_seed(0), []
        for side in (self.fake, self.real):
            distances = side.nearest.sort().values
            drawn = torch.randint(len(distances), (RESAMPLED, len(distances)), generator=generator)
            medians.append(distances[drawn].quantile(0.5, dim=1))
        return (medians[0] / medians[1].clamp_min(1e-300)).std().item()
