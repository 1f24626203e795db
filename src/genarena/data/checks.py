"""Checks of the splits of a data set, after they are loaded: shapes, types, labels, and the condition that models are given."""

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.errors import DataError
from genarena.spec import TEXTS, DataSpec


def refuse_condition(data: str, spec: DataSpec, kind: str | None, text: str) -> None:
    """Raise DataError if `data.condition` did not reach the spec, or if `data.text` is for captions that are not asked for."""
    if kind and (spec.condition is None or spec.condition.kind != kind):
        raise DataError(
            f"data.condition={kind}: conf/data/{data}.yaml does not pass it on to its spec "
            '(condition: "${data.condition}")'
        )
    if text != "words" and kind != "caption":
        raise DataError(f"data.text={text}: only models of captions read text (data.condition=caption)")


def refuse_broken(data: str, spec: DataSpec, name: str, split: Split) -> None:
    """Raise DataError for a split that is empty, of another shape or type, or with labels outside 0 .. num_classes - 1.

    data: the name of the data set. name: that of the split.
    """
    if split.size < 1:
        raise DataError(f"{data}: one of its splits is empty")
    if tuple(split.x.shape[1:]) != spec.shape:
        raise DataError(f"{data}: examples have shape {tuple(split.x.shape[1:])}, expected {spec.shape}")
    if isinstance(split.x, Tensor) and split.x.dtype != spec.dtype:
        raise DataError(f"{data}: its {name} examples are {split.x.dtype}, expected {spec.dtype}")
    if split.y is not None:
        _refuse_labels(data, spec, name, split)
    if spec.condition and spec.condition.kind in ("label", "attributes"):
        _refuse_unconditional(data, spec, name, split)
    if spec.condition and spec.condition.kind in TEXTS:
        _refuse_uncaptioned(data, spec, name, split)
    if spec.condition and spec.condition.kind == "mel":
        _refuse_without_mels(data, spec, name, split)


def _refuse_labels(data: str, spec: DataSpec, name: str, split: Split) -> None:
    y = split.y
    if y.dtype != torch.int64 or y.dim() not in (1, 2) or len(y) != split.size:
        raise DataError(
            f"{data}: the labels of its {name} split are {y.dtype} {tuple(y.shape)}, expected int64, "
            f"one or a row of attributes for each of {split.size:,} examples"
        )
    classes = 2 if y.dim() == 2 else spec.num_classes  # attributes are 0 or 1
    wrong = (y < 0) | (y >= classes) if classes else y < 0
    if wrong.any():
        place = int(wrong.nonzero()[0, 0])
        allowed = f"0 to {classes - 1}" if classes else "0 or more"
        raise DataError(f"{data}: label {int(y[wrong][0])} of {name} example {place} is none of the labels, {allowed}")


def _refuse_unconditional(data: str, spec: DataSpec, name: str, split: Split) -> None:
    """Raise DataError if models are to be conditional on what the split does not have."""
    condition, option = spec.condition, f"data.condition={spec.condition.kind}"
    if split.y is None:
        raise DataError(f"{option}: the {name} split of {data} has no labels")
    shape = tuple(split.y.shape[1:])
    if shape != condition.shape:
        held = f"{shape[0]} attributes" if shape else "one label"
        raise DataError(f"{option}: {data} has {held} of each example")
    if condition.kind == "label" and spec.num_classes != condition.size:
        raise DataError(f"{option}: data.spec.num_classes={condition.size}, and {data} has {spec.num_classes} classes")


def _refuse_uncaptioned(data: str, spec: DataSpec, name: str, split: Split) -> None:
    if split.captions is None:
        kind = spec.condition.kind
        held = "captions" if kind == "caption" else "texts that are spoken"
        raise DataError(f"data.condition={kind}: the {name} split of {data} has no {held}")
    if split.captions.dim() != 3 or len(split.captions) != split.size or split.captions.shape[1] < 1:
        shape = tuple(split.captions.shape)
        raise DataError(f"{data}: the captions of its {name} split have shape {shape}, expected (N, K, length)")
    spec.condition.check(split.captions[:, 0])


def _refuse_without_mels(data: str, spec: DataSpec, name: str, split: Split) -> None:
    if split.mels is None:
        raise DataError(f"data.condition=mel: the {name} split of {data} has no mel spectrograms")
    if len(split.mels) != split.size or tuple(split.mels.shape[1:]) != spec.condition.shape:
        wanted = (split.size, *spec.condition.shape)
        raise DataError(f"{data}: the mels of its {name} split have shape {tuple(split.mels.shape)}, expected {wanted}")
