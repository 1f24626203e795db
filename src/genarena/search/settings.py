"""The settings of a search (`sweep=<name>`), checked before anything is written. Imports no torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena import metrics
from genarena.build import build
from genarena.errors import UserError
from genarena.options import values
from genarena.options.values import Count
from genarena.runs.past import EXACTLY, pinned
from genarena.search import space, sweep_report
from genarena.search.space import Dimension


@dataclass(frozen=True)
class Settings:
    """The settings of a search, from `conf/sweep/<name>.yaml`.

    space: option -> {low, high, log} or {choices: [...]}; if low and high are whole numbers, so are the values.
    minimize, maximize: metrics on the validation split; for more than one, the Pareto front is searched.
    prune_by: a validation value of training. A trial is stopped if its value is worse than the median of the other trials
        at the same share of the budget. null: no trial is stopped.
    trials: total number of trials, including failed and pruned ones. startup: number of first trials drawn at random.
    storage: Optuna's URL of a database for several machines, also in $GENARENA_SWEEP_STORAGE; null: a journal file.
    """

    name: str
    space: dict[str, dict[str, Any]]
    minimize: list[str]
    maximize: list[str] | tuple[str, ...] = ()
    prune_by: str | None = "val/bits_per_dim"
    trials: Count = 40
    startup: Count = 10
    storage: str | None = None

    def __post_init__(self) -> None:
        values.check_fields(self, "sweep")

    @property
    def objectives(self) -> list[str]:
        return [*self.minimize, *self.maximize]


def prepared(overrides: Sequence[str], cfg: dict[str, Any]) -> tuple[Settings, list[str], dict[str, Dimension]]:
    """The settings, the options common to all trials, and the searched dimensions. Raises UserError."""
    settings: Settings = build(cfg["sweep"], "sweep")
    metrics.check(settings.objectives)
    fixed = _fixed(overrides, cfg, settings)
    return settings, fixed, space.checked(settings.space, fixed)


def _fixed(overrides: Sequence[str], cfg: dict[str, Any], settings: Settings) -> list[str]:
    """The options of a command line that are common to all trials."""
    keys = [text.lstrip("+").partition("=")[0] for text in overrides]
    for key in ("metrics", "budget.metrics", "evaluation.split"):
        if key in keys:
            raise UserError(f"{key}: a sweep measures its objectives on the validation split: sweep.minimize=[...]")
    if settings.prune_by and cfg["logger"]["kind"] == "none":
        raise UserError("logger=none: sweep.prune_by reads metrics.csv: take logger=csv, or sweep.prune_by=null")
    own = [
        text
        for text, key in zip(overrides, keys, strict=True)
        if key.split(".")[0] not in ("sweep", "launcher", "runs_dir", "model") or key.startswith("model.")
    ]
    chosen = [f"model={cfg['choices']['model']}", *own, "evaluation.split=val"]
    return [*chosen, f"metrics=[{','.join(settings.objectives)}]"]


def folder_of(cfg: dict[str, Any], settings: Settings, keys: list[str]) -> Path:
    """The folder of a search, created if missing. It does not depend on the number of trials."""
    space = {key: settings.space[key] for key in keys}
    what = [pinned(cfg, EXACTLY), space, settings.minimize, list(settings.maximize), settings.prune_by]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:8]
    names = cfg["choices"]
    folder = Path(cfg["runs_dir"]) / sweep_report.SWEEPS / f"{settings.name}-{names['model']}-{names['data']}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
