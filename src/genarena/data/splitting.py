"""Train, validation and test parts of a set without official ones; parts of a split by its labels."""

from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.errors import DataError

OPTIONS = {"fraction": "label_fraction", "class": "only"}  # of data sets, by their name in a data id


def seeded_split(whole: Any, val: int, test: int) -> tuple[Any, Any, Any]:
    """Train, validation and test part of a Split or Listing without official splits, drawn at random.

    val, test: number of examples. The parts are the same for every seed of a run.
    """
    order = torch.randperm(whole.size, generator=seeded_generator(0, whole.size))
    parts = order[val + test :], order[:val], order[val : val + test]
    return tuple(whole[part] for part in parts)


def tenths(whole: Any) -> tuple[Any, Any, Any]:
    """`seeded_split` with a tenth, and at least one example, each for validation and test."""
    return completed({"train": whole})


def completed(parts: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The parts `train`, `val` and `test`; if `val` or `test` is missing, it is a tenth of the training part."""
    tenth = max(1, parts["train"].size // 10)
    train, val, test = seeded_split(parts["train"], *(0 if name in parts else tenth for name in ("val", "test")))
    return train, parts.get("val", val), parts.get("test", test)


# -- by labels ---------------------------------------------------------------------------------------------------------


def ranks(y: Tensor, seed: int = 0) -> Tensor:
    """The place (N,) of each example in a random order of those with its label (N,), so that fractions are nested."""
    order = torch.randperm(len(y), generator=seeded_generator(seed, len(y)))
    places = torch.empty_like(y)
    for label in y.unique().tolist():
        own = order[y[order] == label]
        places[own] = torch.arange(len(own))
    return places


def stratified(y: Tensor, fraction: float, seed: int = 0) -> Tensor:
    """Whether each example is in a fraction of those with its label (N,), at least one of each; bool (N,)."""
    counts = (torch.bincount(y) * fraction).round().long().clamp_min(1)
    return ranks(y, seed) < counts[y]


def rows_with(y: Tensor | None, part: str, value: float, of: tuple[str, str]) -> Tensor:
    """Rows of the examples of the label `value` (part "class"), or of the share `value` of each label (part "fraction").

    of: names of the data set and of its split. Raises DataError if there are no labels, or none of them is `value`.
    """
    if y is None or y.dim() != 1:
        raise DataError(f"data.{OPTIONS[part]}={value}: {of[0]} has no labels to choose by")
    rows = (stratified(y, value) if part == "fraction" else y == value).nonzero().flatten()
    if not len(rows):
        raise DataError(f"data.only={value}: no {of[1]} example of {of[0]} has that label")
    return rows
