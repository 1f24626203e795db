"""Rows to tables: what may be compared stands together, seeds become a mean with a confidence interval, order is tested.

A table holds runs of one data id, one protocol id and one budget. A line of it holds the seeds of one model with the
same overrides. Intervals are 95% t intervals of the mean over training seeds; there is no aggregate score and no
best-of: a run repeated with the same seed counts once, the newest. Rows scored again under other sampling seeds
(`<run folder>/evaluations/*.json`, written by scripts/evaluate.py) give an interval of their own. Imported rows, images
made elsewhere, stand in every table of their data and protocol, unranked: their budget is not known.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from genarena.errors import UserError
from genarena.leaderboard.statistics import LEVEL, mean, sampling_half_width, t_half_width, welch
from genarena.results import read_row

LIKELIHOOD_SIGNS = {"exact": "=", "lower_bound": "≤", "estimate": "~", "none": ""}
COSTS = {  # key in `cost` -> heading, unit, what it is
    "parameters": ("Parameters", "", "trained numbers"),
    "train_seconds": ("Training", "s", "time in training steps; validation and start-up not counted"),
    "examples_seen": ("Examples", "", "training examples seen"),
    "examples_per_second": ("Speed", "examples/s", "training examples per second"),
    "train_flops": ("Training", "FLOP", "of the whole training: matrix products, convolutions, attention"),
    "sample_flops": ("One sample", "FLOP", "of one sample: matrix products, convolutions, attention"),
    "nfe": ("NFE", "", "network evaluations per sample"),
    "sample_seconds_batch_1": ("Sampling, one at a time", "s/image", "seconds per image in batches of 1"),
    "sample_seconds_per_image": ("Sampling, full batch", "s/image", "seconds per image in the evaluation's batches"),
    "peak_memory_mb": ("Peak memory", "MB", "of the process, or of the GPU where there is one"),
    "evaluation_seconds": ("Evaluation", "s", "all metrics together"),
}
SAME_AS_COST = {"sampling_seconds": "sample_seconds_per_image"}  # a metric that is a cost column already
RANKING = ("fid", "fd_domain", "bits_per_dim", "nll_nats")  # the first that a table has orders it
REFERENCES = {"uniform": "floor", "gaussian": "floor", "memoriser": "ceiling"}
EVALUATIONS = "evaluations"  # of a run folder: rows scored again under other sampling seeds


@dataclass(frozen=True)
class Run:
    """One `result.json`, where it lies, and the metrics of the same weights under other sampling seeds."""

    row: dict[str, Any]
    folder: Path
    resampled: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return self.row["model"]

    @property
    def overrides(self) -> tuple[str, ...]:
        return tuple(self.row.get("overrides", ()))

    @property
    def seed(self) -> int:
        return self.row.get("seed", 0)

    @property
    def imported(self) -> bool:
        return self.row.get("imported", False)

    @property
    def name(self) -> str:
        return " ".join((self.model, *self.overrides))

    @property
    def anchor(self) -> str:
        """Survives a new page: made of the row, not of its position."""
        row = self.row
        return anchor(row["data"]["id"], row["model"], str(row.get("run", self.folder.name)))

    def value(self, key: str) -> float | None:
        """Of a metric or a cost."""
        return self.record(key).get("value")

    def record(self, key: str) -> dict[str, Any]:
        if key in COSTS:
            return {"value": self.row.get("cost", {}).get(key), "reason": "not measured"}
        return self.row["metrics"].get(key, {"value": None, "reason": "not measured"})


@dataclass(frozen=True)
class Column:
    """A heading, the direction that is better (None: neither), and the group it belongs to."""

    key: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    group: str = "samples"  # samples, likelihood or cost
    note: str = ""

    @property
    def is_cost(self) -> bool:
        return self.group == "cost"


@dataclass(frozen=True)
class Resampling:
    """Mean over runs and sampling seeds, and half the 95% interval that sampling alone leaves."""

    value: float
    half_width: float
    num_seeds: int  # per run, the most

    @property
    def text(self) -> str:
        return f"{_with_interval(self.value, self.half_width)} over {self.num_seeds} sampling seeds"

    @property
    def short(self) -> str:
        return f"sampling ± {_rounded(self.half_width)}"


@dataclass(frozen=True)
class Cell:
    """Mean over seeds, half the width of its 95% interval (None for one seed), sign of a likelihood, or a reason."""

    value: float | None
    half_width: float | None = None
    sign: str = ""
    reason: str = ""
    num_seeds: int = 0
    is_cost: bool = False
    resampling: Resampling | None = None

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.is_cost:
            return prefixed(self.value)
        if self.half_width is None:
            return f"{self.sign}{number(self.value)}"
        return f"{self.sign}{_with_interval(self.value, self.half_width)}"


@dataclass
class Line:
    """One model with one set of overrides. `place` orders the table; `rank` is what is printed, `rank_note` why."""

    runs: list[Run]
    diverged: dict[int, str] = field(default_factory=dict)  # seed -> reason
    cells: dict[str, Cell] = field(default_factory=dict)
    place: int | None = None
    rank: str = "–"
    rank_note: str = ""

    @property
    def model(self) -> str:
        return self.runs[0].model

    @property
    def family(self) -> str:
        return self.runs[0].row["family"]

    @property
    def overrides(self) -> tuple[str, ...]:
        return self.runs[0].overrides

    @property
    def imported(self) -> bool:
        return self.runs[0].imported

    @property
    def name(self) -> str:
        return self.runs[0].name + (" (imported)" if self.imported else "")

    @property
    def seeds(self) -> list[int]:
        return sorted(run.seed for run in self.runs)

    @property
    def is_reference(self) -> bool:
        """A floor or a ceiling."""
        return self.family == "baseline"

    @property
    def competes(self) -> bool:
        return not (self.is_reference or self.imported or self.diverged)

    @property
    def device(self) -> str:
        return ", ".join(sorted({run.row.get("cost", {}).get("device") or run.row.get("hardware", {}).get("device") or ""
                                 for run in self.runs} - {""}))  # fmt: skip


@dataclass
class Table:
    """Lines that may be compared with each other, and the failed runs of the same kind.

    apart: one sentence on why these lines do not stand in the table before this one; empty for the first.
    """

    data_id: str
    protocol_id: str
    budget: str
    columns: list[Column]
    lines: list[Line]
    failed: list[Run]
    empty: dict[str, str]  # metric without a value in any line -> reason
    ranked_by: str | None
    apart: str = ""

    @property
    def anchor(self) -> str:
        return anchor(self.data_id, self.budget, self.protocol_id)

    @cached_property
    def column(self) -> dict[str, Column]:
        return {column.key: column for column in self.columns}


def anchor(*parts: str) -> str:
    """An id for an HTML element that two different names never share, and that is the same on the next page."""
    slug = "-".join("".join(c if c.isascii() and c.isalnum() else "-" for c in part) for part in parts)
    return f"{slug}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:6]}"


# -- rows that lie on disk ---------------------------------------------------------------------------------------------


def find_runs(runs_dir: Path) -> tuple[list[Run], list[str]]:
    """Every readable row below `runs_dir`, and one line of text for each unreadable one. Raises UserError if none."""
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder")
    runs, broken = [], []
    for path in sorted(runs_dir.glob("**/result.json")):
        try:
            row = read_row(path)
        except UserError as error:
            broken.append(str(error))
            continue
        resampled, complaints = _resampled(row, path.parent / EVALUATIONS)
        broken += complaints
        runs.append(Run(row, path.parent, resampled))
    if not runs:
        raise UserError(f"runs_dir={runs_dir}: no finished run (result.json) below it")
    return runs, broken


def _resampled(row: dict[str, Any], folder: Path) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """Sampling seed -> metrics, of the rows in `folder` that differ from `row` in nothing else."""
    found, complaints = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            again = read_row(path)
            if again.get("run") != row.get("run"):
                raise UserError(f"{path} is not an evaluation of this run but of {again.get('run')}")
            differing = [key for key in differences(row["protocol"], again["protocol"])
                         if key not in ("id", "settings.sample_seed")]  # fmt: skip
            if differing:
                raise UserError(f"{path} was scored under another protocol: {', '.join(differing)}")
            seed = _sample_seed(again)
            if seed != _sample_seed(row):  # the same seed again says nothing about its scatter
                found[seed] = again["metrics"]
        except UserError as error:
            complaints.append(str(error))
    return found, complaints


def _sample_seed(row: dict[str, Any]) -> int:
    return row["protocol"].get("settings", {}).get("sample_seed", 0)


def differences(one: Any, other: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key -> both values, of everything in which two nested dictionaries differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: pair for key in sorted({*one, *other}, key=str)
                for name, pair in differences(one.get(key), other.get(key), f"{prefix}.{key}").items()}  # fmt: skip
    return {} if one == other else {prefix.removeprefix("."): (one, other)}


# -- tables ------------------------------------------------------------------------------------------------------------


def make_tables(runs: Iterable[Run]) -> list[Table]:
    """One table per (data, protocol, budget), in that order; imported rows join those of their data and protocol."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    imported = []
    for run in runs:
        if run.imported:
            imported.append(run)
        else:
            key = run.row["data"]["id"], run.row["protocol"]["id"], budget_text(run.row["budget"])
            groups.setdefault(key, []).append(run)
    for run in imported:
        place = run.row["data"]["id"], run.row["protocol"]["id"]
        for key in [key for key in groups if key[:2] == place] or [(*place, "imported")]:
            groups.setdefault(key, []).append(run)
    tables = [_make_table(key, group) for key, group in sorted(groups.items())]
    protocols = {run.row["protocol"]["id"]: run.row["protocol"] for group in groups.values() for run in group}
    for before, table in pairwise(tables):
        table.apart = _why_apart(before, table, protocols)
    return tables


def budget_text(budget: dict[str, Any]) -> str:
    """`cpu_1min: 1 min`, with the examples where they limit."""
    limits = [f"{budget['minutes']:g} min"] if budget["minutes"] else []
    limits += [f"{budget['examples']:,} examples"] if budget["examples"] else []
    return f"{budget['name']}: {', '.join(limits)}"


def _why_apart(before: Table, table: Table, protocols: dict[str, dict[str, Any]]) -> str:
    reasons = []
    if before.data_id != table.data_id:
        reasons.append(f"the data ({before.data_id} there)")
    if before.budget != table.budget:
        reasons.append(f"the budget ({before.budget} there)")
    if before.protocol_id != table.protocol_id:
        found = differences(protocols[table.protocol_id], protocols[before.protocol_id])
        shown = [f"{key} {here}, there {there}" if len(f"{here}{there}") < 40 else key
                 for key, (here, there) in found.items() if key != "id"]  # fmt: skip
        reasons.append(f"the protocol ({'; '.join(shown) or 'another id'})")
    return (
        f"Not in one table with the one before, because numbers compare only where these agree: {'; '.join(reasons)}."
    )


def _make_table(key: tuple[str, str, str], runs: list[Run]) -> Table:
    newest: dict[tuple[Any, ...], Run] = {}
    for run in sorted(runs, key=lambda run: run.row.get("time", "")):
        if run.row["status"] == "ok":
            newest[run.imported, run.model, run.overrides, run.seed] = run
    lines: dict[tuple[Any, ...], Line] = {}
    for (*identity, _), run in newest.items():
        lines.setdefault(tuple(identity), Line([])).runs.append(run)
    failed = [run for run in runs if run.row["status"] != "ok"]
    for run in failed:
        identity = (run.imported, run.model, run.overrides)
        if identity in lines and (*identity, run.seed) not in newest and _diverged(run):
            lines[identity].diverged[run.seed] = run.row["error"]
    metrics = list(dict.fromkeys(name for run in newest.values() for name in run.row["metrics"]))
    for line in lines.values():
        line.runs.sort(key=lambda run: run.seed)
        line.cells = {name: _cell(name, line) for name in (*metrics, *COSTS)}
    shown = [name for name in metrics if any(line.cells[name].value is not None for line in lines.values())]
    empty = {name: next((line.cells[name].reason for line in lines.values()), "")
             for name in metrics if name not in shown}  # fmt: skip
    ranked_by = next((name for name in RANKING if name in shown), None)
    columns = [_column(name, list(newest.values())) for name in sorted(shown, key=lambda name: name != ranked_by)
               if name not in SAME_AS_COST]  # fmt: skip
    columns += [Column(name, title, unit, False, "cost", note) for name, (title, unit, note) in COSTS.items()
                if any(line.cells[name].value is not None for line in lines.values())]  # fmt: skip
    return Table(*key, columns, _ranked(list(lines.values()), ranked_by), failed, empty, ranked_by)


def _diverged(run: Run) -> bool:
    """Training failed of itself; an interrupted run says nothing about its model."""
    return run.row.get("error", "").startswith("Diverged")


def _column(name: str, runs: list[Run]) -> Column:
    record = next(run.record(name) for run in runs if run.value(name) is not None)
    title = record.get("title", name.replace("_", " "))
    group = "likelihood" if "likelihood" in record else "samples"
    return Column(name, title, record.get("unit", ""), record.get("higher_is_better"), group)


def _cell(name: str, line: Line) -> Cell:
    records = [run.record(name) for run in line.runs]
    values = [record["value"] for record in records if record.get("value") is not None]
    if len(values) < len(records):  # a mean over some of the seeds would be a choice among them
        return Cell(None, reason=next(record.get("reason", "not measured") for record in records
                                      if record.get("value") is None))  # fmt: skip
    kind = records[0].get("likelihood", "none")  # of the number, not of the model
    half_width = t_half_width(values) if len(values) > 1 else None
    return Cell(mean(values), half_width, LIKELIHOOD_SIGNS.get(kind, ""), num_seeds=len(values), is_cost=name in COSTS,
                resampling=_resampling(name, line))  # fmt: skip


def _resampling(name: str, line: Line) -> Resampling | None:
    groups = []
    for run in line.runs:
        again = [metrics.get(name, {}).get("value") for metrics in run.resampled.values()]
        groups.append([run.value(name), *(value for value in again if value is not None)])
    half_width = sampling_half_width(groups)
    if half_width is None or half_width <= 1e-12 * abs(groups[0][0]):  # not scored again, or nothing of it is sampled
        return None
    return Resampling(mean([mean(group) for group in groups]), half_width, max(len(group) for group in groups))


# -- order -------------------------------------------------------------------------------------------------------------


def _ranked(lines: list[Line], key: str | None) -> list[Line]:
    """In the order of `key`, lower first, with ranks for the models that compete. Readers can sort by any other."""
    if key is None:
        return sorted(lines, key=lambda line: line.name)
    missing = math.inf
    lines = sorted(
        lines, key=lambda line: (missing if line.cells[key].value is None else line.cells[key].value, line.name)
    )
    contenders = [line for line in lines if line.competes and line.cells[key].value is not None]
    values = [[run.value(key) for run in line.runs] for line in contenders]
    first, tests = 0, []  # the best of the present rank: ties between neighbours would chain from the first to the last
    for index, line in enumerate(contenders):
        p_value = welch(values[first], values[index]) if index else None
        tests.append((p_value, contenders[first].name))
        first = first if p_value is not None and p_value >= LEVEL else index
        line.place = first + 1
    tests[:1] = [(p_value, contenders[1].name) for p_value, _ in tests[1:2]]
    shared = [line.place for line in contenders]
    for index, line in enumerate(contenders):
        line.rank = f"{line.place}{'=' if shared.count(line.place) > 1 else ''}"
        if len(contenders) == 1:
            line.rank_note = "the only contender"
            continue
        p_value, other = tests[index]
        if p_value is None:
            line.rank += "?"
            line.rank_note = f"not tested against {other}: that takes two seeds of each"
        else:
            verdict = "a tie with" if p_value >= LEVEL else "differs from"
            line.rank_note = f"{verdict} {other}: Welch's t-test over training seeds, p = {p_value:.2g}"
    for line in lines:
        if line not in contenders:
            line.rank, line.rank_note = _unranked(line)
    return lines


def _unranked(line: Line) -> tuple[str, str]:
    if line.is_reference:
        return REFERENCES.get(line.model, "reference"), "a reference, not a contender"
    if line.imported:
        return "imported", "made elsewhere, under a budget of its own: not ranked"
    if line.diverged:
        seeds = ", ".join(f"seed {seed}: {reason}" for seed, reason in line.diverged.items())
        return "–", f"not ranked, because training diverged ({seeds}): the other seeds would be a choice"
    return "–", "no value in the ranking column"


# -- numbers -----------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Four significant digits, thousands separated, no exponent for ordinary sizes."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if float(value).is_integer() and abs(value) >= 100:
        return f"{int(value):,}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, min(6, 3 - math.floor(math.log10(abs(value)))))}f}"


def prefixed(value: float) -> str:
    """Three significant digits; above a thousand an SI prefix: 1795464 is `1.8 M`. Milli would be read as minutes."""
    if abs(value) < 1 or not math.isfinite(value):
        return f"{value:.3g}"
    power = min(6, math.floor(math.log10(abs(value)) / 3 + 1e-12))
    scaled = value / 1000.0**power
    if abs(float(f"{scaled:.3g}")) >= 1000 and power < 6:
        power, scaled = power + 1, scaled / 1000.0
    return f"{float(f'{scaled:.3g}'):g} {' kMGTPE'[power]}".rstrip()


def _with_interval(value: float, half_width: float) -> str:
    if half_width <= 1e-12 * abs(value):
        return f"{number(value)} ± 0"
    return f"{value:,.{_decimals(half_width)}f} ± {_rounded(half_width)}"


def _rounded(half_width: float) -> str:
    return f"{half_width:,.{_decimals(half_width)}f}"


def _decimals(half_width: float) -> int:
    """Two significant digits of the half-width."""
    return 0 if half_width >= 10 else min(8, 1 - math.floor(math.log10(half_width)))
