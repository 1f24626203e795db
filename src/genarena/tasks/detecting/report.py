"""Records of a score: how well it tells outside (positive) from inside, with intervals."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from genarena.statistics import detection
from genarena.tasks.base import Line, Record

TITLES = {
    "auroc": ("AUROC", True),
    "aupr_out": ("AUPR, outside positive", True),
    "fpr_at_95_ood": ("inside flagged at 95% of outside caught", False),
    "ood_kept_at_95_id": ("outside accepted at 95% of inside accepted", False),
}


def line(inside: Tensor, outside: Tensor, paper: str = "", facts: dict[str, Any] | None = None) -> Line:
    """Of scores (N,). A score that is NaN counts as a mistake: the most anomalous inside, the least outside."""
    a, b = comparable(inside, outside)
    bad, worse = int(inside.isnan().sum()), int(outside.isnan().sum())
    found = {"auroc": detection.auroc(a, b)} | detection.resampled(a, b)
    shared = {"n": len(a) + len(b), "failures": bad + worse, **(facts or {})}
    return Line({name: _record(name, each, shared) for name, each in found.items()}, paper)


def comparable(inside: Tensor, outside: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores without NaN, which counts as a mistake."""
    values = inside.double().numpy(), outside.double().numpy()
    return tuple(np.where(np.isnan(x), worst, x) for x, worst in zip(values, (math.inf, -math.inf), strict=True))


def gap(own: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> detection.Interval:
    """The area of a score less that of another one, on the examples that both have scored: the first ones."""
    num = [min(map(len, pair)) for pair in zip(own, other, strict=True)]
    one, two = (comparable(*(score[:n] for score, n in zip(pair, num, strict=True))) for pair in (own, other))
    return detection.auroc_gap(one, two)


def _record(name: str, found: detection.Interval, shared: dict[str, Any]) -> Record:
    title, higher = TITLES[name]
    own = {"prevalence": 0.5} if name == "aupr_out" else {}
    method = "DeLong" if name == "auroc" else f"bootstrap, {detection.RESAMPLES} resamples"
    return (
        {
            "title": title,
            "value": found.value,
            "ci95_half_width": found.half_width,
            "interval": method,
            "higher_is_better": higher,
        }
        | own
        | shared
    )
