"""Scores of completed rows, in standard deviations of the observed training entries, over hidden entries of columns that vary.

A method without draws forecasts a point: its CRPS is its absolute error, and its energy score the norm of its error.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.statistics import ensembles, tables
from genarena.statistics.intervals import t_quantile
from genarena.tasks.base import Record
from genarena.tasks.imputing.completed import Completed

LOWER: dict[str, Any] = {"higher_is_better": False}


def of(completed: Completed, truth: Tensor, hidden: Tensor) -> dict[str, Record]:
    """Metrics of all rows (N, D), standardised; hidden: bool, what counts. The first orders the table."""
    fill, draws = completed.fill, completed.draws
    error, shared = fill - truth, {"failures": completed.failures, "seconds": completed.seconds} | completed.facts
    found = {
        "crps": by_column("CRPS", error.abs() if draws is None else ensembles.crps(draws, truth), hidden),
        "energy_score": energy_score(completed, truth, hidden),
        "rmse": by_column("RMSE", error.square(), hidden, root=True),
        "rmse_pooled": _plain("RMSE, pooled", error[hidden].square().mean().sqrt().item(), LOWER),
        "mae": by_column("MAE", error.abs(), hidden),
        "rmse_draw": by_column("RMSE of one draw", (completed.one - truth).square(), hidden, root=True),
    }
    if draws is not None:
        inside = ensembles.coverage(draws, truth)[hidden].double().mean().item()
        found["coverage"] = _plain("90% coverage", inside, {"target": 0.9})
        spread = ensembles.spread_skill(draws, truth, hidden)
        found["spread_skill"] = _plain("spread-skill", spread, {"target": 1.0})
    found["energy_distance"] = _plain("energy distance", tables.energy_distance(completed.one, truth), LOWER)
    found["sliced_w2"] = _plain("sliced W2", tables.sliced_w2(completed.one, truth), LOWER)
    return {name: record | {"n": len(truth)} | shared for name, record in found.items()}


def energy_score(completed: Completed, truth: Tensor, hidden: Tensor) -> Record:
    """Of the hidden block of each row, over the square root of its size; the mean over rows that have one."""
    if completed.draws is None:
        values = ((completed.fill - truth) * hidden).square().sum(1).sqrt() / hidden.sum(1).double().sqrt()
    else:
        values = ensembles.energy_score(completed.draws, truth, hidden)
    values = values[hidden.any(1)]
    error = values.std().item() / len(values) ** 0.5 if len(values) > 1 else None
    return {"title": "energy score", "value": values.mean().item()} | LOWER | _interval(error, len(values))


def by_column(title: str, values: Tensor, hidden: Tensor, root: bool = False) -> Record:
    """The mean over hidden entries of each column (its root), then over the columns that have hidden entries.

    The standard error is over rows, to first order.
    """
    counts = hidden.sum(0)
    kept = counts > 0
    means = (values * hidden).sum(0)[kept] / counts[kept]
    columns = means.sqrt() if root else means
    slope = 1.0 / (2.0 * columns.clamp_min(1e-12)) if root else torch.ones_like(columns)
    shares = ((values[:, kept] - means) * hidden[:, kept] * slope / counts[kept]).sum(1) / len(columns)
    error = (len(values) * shares.var()).sqrt().item() if len(values) > 1 else None
    return (
        {"title": title, "value": columns.mean().item(), "columns": int(kept.sum())}
        | LOWER
        | _interval(error, len(values))
    )


def _interval(error: float | None, num: int) -> dict[str, Any]:
    return {"standard_error": error, "ci95_half_width": None if error is None else t_quantile(num - 1) * error}


def _plain(title: str, value: float, more: Mapping[str, Any]) -> Record:
    return {"title": title, "value": value, **more}
