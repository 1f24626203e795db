"""Labelled examples for probes: training, validation and test ones that share no image, and draws of a few labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.data.ground_truth import GroundTruth
from genarena.spec import DataSpec

SPLITS = ("train", "val", "test")
CLASS = "class"  # the labels of the data set, beside its factors
DRAWS = 5  # of a few labels, the same for all codes


class Three(NamedTuple):
    """Of the training, validation and test examples: codes (N, F), or labels (N,)."""

    train: Tensor
    val: Tensor
    test: Tensor


@dataclass(frozen=True)
class Examples:
    """x: data (N, *shape). y: labels (N,) int64. twins: training and validation examples that were left out because a split
    that comes later has the same example. Rows are in the order of their hashes, so that it does not matter in which they
    came."""

    x: Three
    y: Three
    spec: DataSpec
    twins: int

    @property
    def num_classes(self) -> int:
        return int(max(part.max() for part in self.y)) + 1

    def few(self, per_class: int, draw: int) -> Tensor:
        """Rows of training examples, `per_class` of each label; those of a smaller number are among them."""
        order = torch.randperm(len(self.y.train), generator=seeded_generator("few labels", draw))
        order = order[self.y.train[order].argsort(stable=True)]
        counts = self.y.train.bincount(minlength=self.num_classes)
        starts = counts.cumsum(0) - counts
        rank = torch.arange(len(order)) - starts[self.y.train[order]]
        return order[rank < per_class]

    @property
    def fewest(self) -> int:
        """Training examples of the rarest label."""
        return int(self.y.train.bincount(minlength=self.num_classes).min())


def examples(data: ArenaDataModule, label: str, limits: Sequence[int]) -> Examples:
    """At most `limits` examples of each split, at random, without twins. Raises ValueError if the set has no such labels."""
    seen: set[bytes] = set()
    kept, twins = {}, 0
    for name, limit in reversed(list(zip(SPLITS, limits, strict=True))):  # the test split first: it loses nothing
        split = _some(getattr(data, name), labels(data, name, label), limit)
        hashes = [hashlib.sha256(each.numpy().tobytes()).digest() for each in split.x.contiguous()]
        order = sorted((each, row) for row, each in enumerate(hashes) if each not in seen)
        twins += len(hashes) - len(order)
        seen |= set(hashes)
        kept[name] = split[torch.tensor([row for _, row in order], dtype=torch.long)]
    parts = [kept[name] for name in SPLITS]
    return Examples(Three(*(part.x for part in parts)), Three(*(part.y for part in parts)), data.spec, twins)


def labels(data: ArenaDataModule, split: str, label: str) -> Tensor:
    """(N,) int64: the labels of a split, or the values of a factor."""
    if label != CLASS:
        if not (isinstance(data, GroundTruth) and label in data.factor_sizes):
            there = ", ".join(data.factor_sizes) if isinstance(data, GroundTruth) else "none"
            raise ValueError(f"labels={label}: {data.name} has no such factor; there are: {CLASS}, {there}")
        return data.factors[split][:, list(data.factor_sizes).index(label)]
    y = getattr(data, split).y
    if y is None or y.dim() != 1:
        raise ValueError(f"labels={CLASS}: {data.name} has no labels, one per example")
    return y


def _some(split: Split, y: Tensor, limit: int) -> Split:
    """At most `limit` examples of a random order that is always the same."""
    rows = torch.randperm(split.size, generator=seeded_generator("representation", split.size))[:limit]
    return Split(split.x[rows], y[rows])
