"""Labelled parts of a training set: stratified, nested, the same for all models."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import Split, seeded_generator


@dataclass(frozen=True)
class Labelled:
    """real: the examples whose labels are known. others: as many real examples beside them, at most; of the training split, or
    of the validation split (`others_from`) where all training examples are labelled."""

    real: Split
    others: Split
    others_from: str


def labelled(train: Split, val: Split, fraction: float, seed: int) -> Labelled:
    """The labelled examples of a fraction, and others like them, in memory."""
    order = ranks(train.y, seed)
    chosen = order < _shares(train.y, fraction)[train.y]
    rest = (~chosen).nonzero().flatten()
    rest = rest[order[rest].argsort(stable=True)][: int(chosen.sum())]
    others = train[rest] if len(rest) else val[: int(chosen.sum())]
    return Labelled(train[chosen.nonzero().flatten()], others, "train" if len(rest) else "val")


def ranks(y: Tensor, seed: int) -> Tensor:
    """The place (N,) of each example in a random order of those with its label (N,), so that fractions are nested."""
    order = torch.randperm(len(y), generator=seeded_generator(seed, len(y)))
    places = torch.empty_like(y)
    for label in y.unique().tolist():
        own = order[y[order] == label]
        places[own] = torch.arange(len(own))
    return places


def _shares(y: Tensor, fraction: float) -> Tensor:
    """Labelled examples of each class, at least one, (K,)."""
    counts = torch.bincount(y)
    return (counts * fraction).round().long().clamp_min(1)
