"""Rows to tables: what may be compared stands together, seeds become a mean with a confidence interval.

A table holds runs of one data id, one protocol id and one budget. A line of it holds the seeds of one model with the
same overrides. Intervals are 95% t intervals of the mean over training seeds; there is no aggregate score and no
best-of: a run repeated with the same seed counts once, the newest.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy import stats

from genarena.errors import UserError
from genarena.results import read_row

LIKELIHOOD_SIGNS = {"exact": "=", "lower_bound": "≤", "estimate": "~", "none": ""}
COSTS = {  # key in `cost` -> heading, unit
    "parameters": ("Parameters", ""),
    "examples_seen": ("Examples seen", ""),
    "train_seconds": ("Training", "s"),
    "nfe": ("NFE", ""),
    "peak_memory_mb": ("Peak memory", "MB"),
}


@dataclass(frozen=True)
class Run:
    """One `result.json` and where it lies."""

    row: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class Column:
    """A heading, the direction that is better (None: neither), and whether the values are metrics or costs."""

    key: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    is_cost: bool = False


@dataclass(frozen=True)
class Cell:
    """Mean over seeds, half the width of its 95% interval (None for one seed), sign of a likelihood, or a reason."""

    value: float | None
    half_width: float | None = None
    sign: str = ""
    reason: str = ""
    num_seeds: int = 0

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.half_width is None:
            return f"{self.sign}{number(self.value)}"
        digits = _decimals(self.half_width)
        return f"{self.sign}{self.value:,.{digits}f} ± {self.half_width:,.{digits}f}"


@dataclass
class Line:
    """One model with one set of overrides."""

    model: str
    family: str
    overrides: tuple[str, ...]
    runs: list[Run]
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join((self.model, *self.overrides))

    @property
    def seeds(self) -> list[int]:
        return sorted(run.row["seed"] for run in self.runs)


@dataclass
class Table:
    """Lines that may be compared with each other, and the failed runs of the same kind."""

    data_id: str
    protocol_id: str
    budget: str
    columns: list[Column]
    lines: list[Line]
    failed: list[Run]
    empty: dict[str, str]  # metric -> reason, for metrics that no line has

    @property
    def anchor(self) -> str:
        return "".join(c if c.isalnum() else "-" for c in f"{self.data_id}-{self.budget}-{self.protocol_id}")


def find_runs(runs_dir: Path) -> tuple[list[Run], list[str]]:
    """Every readable row below `runs_dir`, and one line of text for each unreadable one. Raises UserError if none."""
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder")
    runs, broken = [], []
    for path in sorted(runs_dir.glob("**/result.json")):
        try:
            runs.append(Run(read_row(path), path.parent))
        except UserError as error:
            broken.append(str(error))
    if not runs:
        raise UserError(f"runs_dir={runs_dir}: no finished run (result.json) below it")
    return runs, broken


def make_tables(runs: Iterable[Run]) -> list[Table]:
    """One table per (data, protocol, budget), in that order."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        key = run.row["data"]["id"], run.row["protocol"]["id"], budget_text(run.row["budget"])
        groups.setdefault(key, []).append(run)
    return [_make_table(key, group) for key, group in sorted(groups.items())]


def budget_text(budget: dict[str, Any]) -> str:
    """`cpu_1min: 1 min`, with the examples where they limit."""
    limits = [f"{budget['minutes']:g} min"] if budget["minutes"] else []
    limits += [f"{budget['examples']:,} examples"] if budget["examples"] else []
    return f"{budget['name']}: {', '.join(limits)}"


def _make_table(key: tuple[str, str, str], runs: list[Run]) -> Table:
    finished = [run for run in runs if run.row["status"] == "ok"]
    newest: dict[tuple[str, tuple[str, ...], int], Run] = {}
    for run in sorted(finished, key=lambda run: run.row.get("time", "")):
        newest[run.row["model"], tuple(run.row["overrides"]), run.row["seed"]] = run
    lines: dict[tuple[str, tuple[str, ...]], Line] = {}
    for (model, overrides, _), run in newest.items():
        line = lines.setdefault((model, overrides), Line(model, run.row["family"], overrides, []))
        line.runs.append(run)
    metrics = list(dict.fromkeys(name for run in finished for name in run.row["metrics"]))
    for line in lines.values():
        line.cells = {name: _cell(name, line) for name in (*metrics, *COSTS)}
    shown = [name for name in metrics if any(line.cells[name].value is not None for line in lines.values())]
    empty = {
        name: next((line.cells[name].reason for line in lines.values()), "") for name in metrics if name not in shown
    }
    columns = [_column(name, finished) for name in shown]
    columns += [Column(name, title, unit, False, True) for name, (title, unit) in COSTS.items()]
    failed = [run for run in runs if run.row["status"] != "ok"]
    return Table(*key, columns, _ranked(list(lines.values()), shown), failed, empty)


def _column(name: str, runs: list[Run]) -> Column:
    record = next(run.row["metrics"][name] for run in runs if run.row["metrics"].get(name, {}).get("value") is not None)
    title = record.get("title", name.replace("_", " "))
    return Column(name, title, record.get("unit", ""), record.get("higher_is_better"))


def _ranked(lines: list[Line], shown: list[str]) -> list[Line]:
    """By the first of these that the table has: sample quality, then likelihood. Readers can sort by any other."""
    key = next((name for name in ("fid", "fd_domain", "bits_per_dim", "nll_nats") if name in shown), None)
    if key is None:
        return sorted(lines, key=lambda line: line.name)
    missing = math.inf
    return sorted(
        lines, key=lambda line: (missing if line.cells[key].value is None else line.cells[key].value, line.name)
    )


def _cell(name: str, line: Line) -> Cell:
    records = [_record(run, name) for run in line.runs]
    values = [record["value"] for record in records if record.get("value") is not None]
    if len(values) < len(records):  # a mean over some of the seeds would be a choice among them
        return Cell(None, reason=next(record.get("reason", "not measured") for record in records
                                      if record.get("value") is None))  # fmt: skip
    sign = LIKELIHOOD_SIGNS[records[0].get("likelihood", "none")]  # of the number, not of the model
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Cell(mean, None, sign, num_seeds=1)
    return Cell(mean, t_half_width(values), sign, num_seeds=len(values))


def _record(run: Run, name: str) -> dict[str, Any]:
    if name in COSTS:
        return {"value": run.row["cost"].get(name)}
    return run.row["metrics"].get(name, {"value": None, "reason": "not measured"})


def t_half_width(values: list[float], confidence: float = 0.95) -> float:
    """t_{n-1} s / sqrt(n): half the width of the two-sided interval of the mean; n >= 2."""
    num = len(values)
    mean = sum(values) / num
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (num - 1))
    return float(stats.t.ppf(0.5 + confidence / 2.0, num - 1)) * deviation / math.sqrt(num)


def number(value: float) -> str:
    """Four significant digits, thousands separated, no exponent for ordinary sizes."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if float(value).is_integer() and abs(value) >= 100:
        return f"{int(value):,}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, min(6, 3 - math.floor(math.log10(abs(value)))))}f}"


def _decimals(half_width: float) -> int:
    """Two significant digits of the half-width."""
    return 0 if half_width <= 0 or half_width >= 10 else min(8, 1 - math.floor(math.log10(half_width)))
