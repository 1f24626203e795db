"""Records of numbers, one per image or pair."""

from typing import Any

from torch import Tensor

from genarena.statistics.intervals import t_quantile
from genarena.tasks.base import Record


def record(values: Tensor, title: str, higher_is_better: bool | None = None, **facts: Any) -> Record:
    """The mean over values (N,), and half its 95% interval; no value if one is not finite."""
    shared = {"title": title, "n": len(values), **facts}
    shared |= {} if higher_is_better is None else {"higher_is_better": higher_is_better}
    if broken := int((~values.isfinite()).sum()):
        return {"value": None, "reason": f"{broken} of {len(values)} are not finite", **shared}
    half = t_quantile(len(values) - 1) * values.double().std().item() / len(values) ** 0.5 if len(values) > 1 else None
    return {"value": values.double().mean().item(), "ci95_half_width": half, **shared}


def missing(title: str, reason: str, higher_is_better: bool | None = None) -> Record:
    """A value that there cannot be."""
    shared = {} if higher_is_better is None else {"higher_is_better": higher_is_better}
    return {"value": None, "reason": reason, "title": title, **shared}
