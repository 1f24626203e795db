"""Conditions of real images, for models of p(x | y): they go with the codes, and can be changed."""

import torch
from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.nets.conditioning import VECTORS, mixture
from genarena.spec import Condition
from genarena.tasks.editing.attributes import CELEBA


def of(model: GenerativeModel, y: Tensor | None) -> Tensor | None:
    """Of images with labels or attributes y, as shares that can be averaged (N, size); None for an unconditional model.

    Raises ValueError for conditions that cannot be averaged.
    """
    condition = model.spec.condition
    check(condition)
    return None if condition is None else mixture(condition, y)


def check(condition: Condition | None) -> None:
    """Raise ValueError for conditions that cannot be averaged or changed one by one."""
    if condition is not None and condition.kind not in VECTORS:
        raise ValueError(
            f"the model is conditional on {condition.kind}; expected {' or '.join(VECTORS)}, or no condition"
        )


def between(first: Tensor | None, last: Tensor | None, t: float) -> Tensor | None:
    """(1 - t) y_0 + t y_1, of conditions as `of` gives them."""
    return None if first is None else torch.lerp(first, last, t)


def place(attribute: str, condition: Condition | None) -> int | None:
    """Where an attribute stands in the conditions of a model; None if it is not among them."""
    if condition is None:
        return None
    if condition.kind == "label":
        return int(attribute.removeprefix("class_")) if attribute.startswith("class_") else None
    return CELEBA.index(attribute) if attribute in CELEBA else None


def with_attribute(y: Tensor, condition: Condition, place: int, has: bool) -> Tensor:
    """Conditions y (N, size) with the attribute, or without it: a label then is what it was, or any of the others."""
    if condition.kind == "attributes":
        changed = y.clone()
        changed[:, place] = float(has)
        return changed
    only = torch.zeros_like(y)
    only[:, place] = 1.0
    if has:
        return only
    others = torch.where(only.bool(), 0.0, y)
    lost = others.sum(1, keepdim=True) < 1e-6
    return torch.where(lost, (1.0 - only) / (y.shape[1] - 1), others / others.sum(1, keepdim=True).clamp_min(1e-6))
