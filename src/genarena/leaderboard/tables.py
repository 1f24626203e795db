"""Makes tables from rows: comparable runs are in one table, with means and intervals over seeds, and tested ranks.

A table has the runs with one data id, one protocol id and one budget. A line of it has the seeds of one model with the
same overrides. Intervals are 95% t intervals of the mean over training seeds. There is no aggregate score, and no best of
several runs: if a seed was repeated, only the newest run counts. Rows scored again with other sampling seeds
(`<run folder>/evaluations/*.json`, written by scripts/evaluate.py) give a separate interval. Imported rows (images made
elsewhere) are in every table with their data and protocol, without a rank, because their budget is not known.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from genarena.leaderboard.lines import Line, cell
from genarena.leaderboard.ranking import ranked, ranking_key
from genarena.leaderboard.runs import COSTS, Run, anchor, differences

SAME_AS_COST = {"sampling_seconds": "sample_seconds_per_image"}  # metric -> column of costs with the same value


@dataclass(frozen=True)
class Column:
    """One column. higher_is_better: None if neither direction is better."""

    key: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    group: str = "samples"  # samples, likelihood or cost
    note: str = ""

    @property
    def is_cost(self) -> bool:
        return self.group == "cost"


@dataclass
class Table:
    """Lines that may be compared with each other, and the failed runs with the same data, protocol and budget.

    classifier: digest of the domain classifier whose features the metrics used. Each machine trains its own at first use, and
        rounding differs between machines. Its features may therefore differ although the protocol is the same.
    apart: one sentence on why these lines are not in the table before this one; empty for the first table.
    """

    data_id: str
    protocol_id: str
    budget: str
    columns: list[Column]
    lines: list[Line]
    failed: list[Run]
    repeated: list[Run]  # finished runs replaced by a newer run with the same seed
    empty: dict[str, str]  # metric without a value in any line -> reason
    ranked_by: str | None
    classifier: str = ""
    apart: str = ""

    @property
    def anchor(self) -> str:
        return anchor(self.data_id, self.budget, self.protocol_id, *filter(None, [self.classifier]))

    @cached_property
    def column(self) -> dict[str, Column]:
        return {column.key: column for column in self.columns}


def make_tables(runs: Iterable[Run]) -> list[Table]:
    """One table per (data, protocol, budget), sorted by these. Imported rows are in all tables with their data and protocol."""
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
    tables = [
        _make_table(key, classifier, part)
        for key, group in sorted(groups.items())
        for classifier, part in _by_classifier(group).items()
    ]
    protocols = {run.row["protocol"]["id"]: run.row["protocol"] for group in groups.values() for run in group}
    for before, table in pairwise(tables):
        table.apart = _why_apart(before, table, protocols)
    return tables


def _by_classifier(runs: list[Run]) -> dict[str, list[Run]]:
    """The runs, grouped by the domain classifier of their metrics. Runs without one are in the first group."""
    found = sorted({run.classifier for run in runs if run.classifier}) or [""]
    return {classifier: [run for run in runs if (run.classifier or found[0]) == classifier] for classifier in found}


def budget_text(budget: dict[str, Any]) -> str:
    """The name and the limits of a budget, for example `cpu_1min: 1 min`."""
    limits = [f"{budget['minutes']:g} min"] if budget["minutes"] else []
    limits += [f"{budget['examples']:,} examples"] if budget["examples"] else []
    limits += [f"{budget['flops']:.3g} FLOPs"] if budget.get("flops") else []
    return f"{budget['name']}: {', '.join(limits)}"


def _why_apart(before: Table, table: Table, protocols: dict[str, dict[str, Any]]) -> str:
    reasons = []
    if before.data_id != table.data_id:
        reasons.append(f"the data ({before.data_id} there)")
    if before.budget != table.budget:
        reasons.append(f"the budget ({before.budget} there)")
    if before.protocol_id != table.protocol_id:
        found = differences(protocols[table.protocol_id], protocols[before.protocol_id])
        shown = [
            f"{key} {here}, there {there}" if len(f"{here}{there}") < 40 else key
            for key, (here, there) in found.items()
            if key != "id"
        ]
        reasons.append(f"the protocol ({'; '.join(shown) or 'another id'})")
    elif before.classifier != table.classifier and not reasons:
        reasons.append(
            "the domain classifier that the metrics look through (trained on another machine? Share "
            "GENARENA_CACHE, or score again with scripts/evaluate.py)"
        )
    return (
        f"Not in one table with the one before, because numbers compare only where these agree: {'; '.join(reasons)}."
    )


def _make_table(key: tuple[str, str, str], classifier: str, runs: list[Run]) -> Table:
    newest: dict[tuple[Any, ...], Run] = {}
    for run in sorted(runs, key=lambda run: time_of(run.row.get("time", ""))):
        if run.row["status"] == "ok":
            newest[(*identity_of(run), run.seed)] = run
    lines: dict[tuple[Any, ...], Line] = {}
    for (*identity, _), run in newest.items():
        lines.setdefault(tuple(identity), Line([])).runs.append(run)
    names = [line.name for line in lines.values()]
    for line in lines.values():
        line.apart = line.device if names.count(line.name) > 1 else ""
    failed = [run for run in runs if run.row["status"] != "ok"]
    repeated = [run for run in runs if run.row["status"] == "ok" and run is not newest[(*identity_of(run), run.seed)]]
    for run in failed:
        identity = identity_of(run)
        if identity in lines and (*identity, run.seed) not in newest and _diverged(run):
            lines[identity].diverged[run.seed] = run.error
    metrics = list(dict.fromkeys(name for run in newest.values() for name in run.metrics))
    for line in lines.values():
        line.runs.sort(key=lambda run: run.seed)
        line.cells = {name: cell(name, line) for name in (*metrics, *COSTS)}
    shown = [name for name in metrics if any(line.cells[name].value is not None for line in lines.values())]
    empty = {
        name: next((line.cells[name].reason for line in lines.values()), "") for name in metrics if name not in shown
    }
    ranked_by = ranking_key(list(lines.values()), shown)
    columns = [
        _column(name, list(newest.values()))
        for name in sorted(shown, key=lambda name: name != ranked_by)
        if name not in SAME_AS_COST
    ]
    columns += [
        Column(name, title, unit, False, "cost", note)
        for name, (title, unit, note) in COSTS.items()
        if any(line.cells[name].value is not None for line in lines.values())
    ]
    return Table(*key, columns, ranked(list(lines.values()), ranked_by), failed, repeated, empty, ranked_by, classifier)


def identity_of(run: Run) -> tuple[Any, ...]:
    """The identity of a run: equal for seeds of one line. For a budget in minutes it includes the device."""
    timed = run.row.get("budget", {}).get("minutes") is not None
    return run.imported, run.model, run.overrides, run.device if timed else ""


def time_of(text: str) -> float:
    """Seconds since the epoch, for comparison of times in different time zones; 0 if `text` is not a time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _diverged(run: Run) -> bool:
    """Whether training diverged. Other failures, such as an interruption, are not due to the model."""
    return run.row["status"] == "diverged"


def _column(name: str, runs: list[Run]) -> Column:
    record = next(run.record(name) for run in runs if run.value(name) is not None)
    title = record.get("title", name.replace("_", " ")) + (f" | {record['given']}" if record.get("given") else "")
    group = "likelihood" if "likelihood" in record else "samples"
    return Column(name, title, record.get("unit", ""), record.get("higher_is_better"), group)
