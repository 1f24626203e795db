"""Makes tables from rows: comparable runs are in one table, with means, intervals, and tested ranks.

A table has the runs with one data id and one budget; under a budget in minutes also with one device, number of threads and
number of processes. A line of it has the seeds of one line (`row["line"]`), whatever was typed. Columns join values with equal
protocol ids: a metric that was measured under two protocols has two columns. Intervals hold training seeds, samples and test
examples. There is no aggregate score, and no best of several runs: if a seed was repeated, only the newest run counts. Rows
scored again with other sampling seeds (`<run folder>/evaluations/*.json`, written by scripts/evaluate.py) give a separate
interval. Imported rows (images made elsewhere) are in every table of their data that has a metric under the same protocol,
without a rank, because their budget is not known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from genarena.errors import UserError
from genarena.leaderboard.differences import told_apart, what_differs, what_differs_from
from genarena.leaderboard.lines import Line, fill
from genarena.leaderboard.numbers import prefixed
from genarena.leaderboard.protocols import in_order, metric_of, usual_protocols
from genarena.leaderboard.ranking import ranked, ranking_key
from genarena.leaderboard.runs import COSTS, Run, anchor, identity_of, key_of
from genarena.leaderboard.twins import without_twins

SAME_AS_COST = {"sampling_seconds": "sample_seconds_per_image"}  # metric -> column of costs with the same value


@dataclass(frozen=True)
class Column:
    """One column.

    higher_is_better: None if neither direction is better. towards_real: nearer to the value of real data is better.
    """

    key: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    group: str = "samples"  # samples, likelihood or cost
    note: str = ""
    protocol: str = ""  # id; empty for costs
    towards_real: bool = False

    @property
    def is_cost(self) -> bool:
        return self.group == "cost"


@dataclass
class Table:
    """Lines that may be compared with each other, and the failed runs with the same data and budget.

    machine: device, threads and processes, under a budget in minutes; else empty.
    apart: one sentence on why these lines are not in the table before this one; empty for the first table.
    """

    data_id: str
    budget: str
    machine: str
    columns: list[Column]
    lines: list[Line]
    failed: list[Run]
    repeated: list[Run]  # finished runs replaced by a newer run with the same seed, or the same as another seed's
    empty: dict[str, str]  # metric without a value in any line -> reason
    ranked_by: str | None
    apart: str = ""

    @property
    def anchor(self) -> str:
        return anchor(self.data_id, self.budget, *filter(None, [self.machine]))

    @cached_property
    def column(self) -> dict[str, Column]:
        return {column.key: column for column in self.columns}


def make_tables(runs: Iterable[Run], rank_by: str | None = None) -> list[Table]:
    """One table per data set and budget, and per machine under minutes, sorted by these. See above for imported rows.

    rank_by: the metric that ranks where a table has it; None: see `genarena.leaderboard.ranking`. Raises UserError if no table
    has it, or neither of its directions is better.
    """
    groups: dict[tuple[str, str, str], list[Run]] = {}
    imported = []
    for run in runs:
        if run.imported:
            imported.append(run)
        else:
            groups.setdefault(_place(run), []).append(run)
    of_models = {key: {pair for run in group for pair in _columns(run)} for key, group in groups.items()}
    for run in imported:
        data_id = run.row["data"]["id"]
        shared = [key for key, columns in of_models.items() if key[0] == data_id and columns & _columns(run)]
        for key in shared or [(data_id, "imported", "")]:
            groups.setdefault(key, []).append(run)
    tables = [_make_table(key, group, rank_by) for key, group in sorted(groups.items())]
    for before, table in pairwise(tables):
        table.apart = _why_apart(before, table)
    if rank_by and rank_by not in {table.ranked_by for table in tables}:
        known = sorted({column.key for table in tables for column in table.columns if column.group != "cost"})
        raise UserError(f"rank_by={rank_by}: no table has this metric; there are {', '.join(known)}")
    return tables


def _place(run: Run) -> tuple[str, str, str]:
    """The table of a run."""
    return run.row["data"]["id"], budget_text(run.row["budget"]), machine_of(run)


def machine_of(run: Run) -> str:
    """The machine of a run under a budget in minutes, which are worth more on a faster one; else empty."""
    return run.machine if run.row.get("budget", {}).get("minutes") is not None else ""


def _columns(run: Run) -> set[tuple[str, str]]:
    return {(key_of(name, record), record.get("protocol", "")) for name, record in run.row["metrics"].items()}


def budget_text(budget: dict[str, Any]) -> str:
    """The name and the limits of a budget, for example `cpu_1min: 1 min`."""
    limits = [f"{budget['minutes']:g} min"] if budget["minutes"] else []
    limits += [f"{budget['examples']:,} examples"] if budget["examples"] else []
    if work := budget.get("flops"):
        text = prefixed(work)
        limits += [f"{text}FLOP" if text[-1].isalpha() else f"{text} FLOP"]
    return f"{budget['name']}: {', '.join(limits)}"


def _why_apart(before: Table, table: Table) -> str:
    places = (("data", "data_id"), ("budget", "budget"), ("machine", "machine"))
    pairs = [(what, getattr(before, name), getattr(table, name)) for what, name in places]
    reasons = [
        f"the {what} ({there} there)" if there else f"the {what}" for what, there, here in pairs if there != here
    ]
    return (
        f"Not in one table with the one before, because numbers compare only where these agree: {'; '.join(reasons)}."
    )


def _make_table(key: tuple[str, str, str], runs: list[Run], rank_by: str | None) -> Table:
    usual = usual_protocols(runs)
    runs = [replace(run, usual=usual) for run in runs]
    newest: dict[tuple[str, int], Run] = {}
    for run in sorted(runs, key=lambda run: time_of(run.row.get("time", ""))):
        if run.row["status"] == "ok":
            newest[identity_of(run), run.seed] = run
    failed = [run for run in runs if run.row["status"] != "ok"]
    repeated = [run for run in runs if run.row["status"] == "ok" and run is not newest[identity_of(run), run.seed]]
    newest, same, twins = without_twins(newest)
    lines = _lines(newest, failed, repeated)
    for line in lines:
        line.twins = twins.get(identity_of(line.runs[0]), {})
    metrics = in_order(dict.fromkeys(name for run in newest.values() for name in run.metrics), usual)
    fill(lines, (*metrics, *COSTS))
    shown = [name for name in metrics if any(line.cells[name].value is not None for line in lines)]
    empty = {name: next((line.cells[name].reason for line in lines), "") for name in metrics if name not in shown}
    ranked_by = ranking_key(lines, shown, rank_by)
    columns = [
        _column(name, list(newest.values()), usual)
        for name in sorted(shown, key=lambda name: name != ranked_by)
        if name not in SAME_AS_COST
    ]
    titles = told_apart([(column.title, column.key) for column in columns])
    columns = [replace(column, title=title) for column, title in zip(columns, titles, strict=True)]
    columns += [
        Column(name, title, unit, False, "cost", note)
        for name, (title, unit, note) in COSTS.items()
        if any(line.cells[name].value is not None for line in lines)
    ]
    return Table(*key, columns, ranked(lines, ranked_by), failed, [*repeated, *same], empty, ranked_by)


def _lines(newest: dict[tuple[str, int], Run], failed: list[Run], repeated: list[Run]) -> list[Line]:
    """The lines, each with the newest run of every seed; what differs between lines of one name; and what did not count."""
    lines: dict[str, Line] = {}
    for (identity, _), run in newest.items():
        lines.setdefault(identity, Line([])).runs.append(run)
    for run in failed:
        identity = identity_of(run)
        if identity in lines and (identity, run.seed) not in newest:
            line, diverged = lines[identity], run.row["status"] == "diverged"  # other failures are not due to the model
            missing = line.diverged if diverged else line.unfinished
            missing[run.seed] = run.error
    for run in repeated:
        lines[identity_of(run)].num_repeats += 1
    named: dict[str, list[Line]] = {}
    for line in lines.values():
        line.runs.sort(key=lambda run: run.seed)
        named.setdefault(line.name, []).append(line)
    for same in named.values():
        if len(same) > 1:
            for line, text in zip(same, what_differs(same), strict=True):
                line.apart = text
    return list(lines.values())


def time_of(text: str) -> float:
    """Seconds since the epoch, for comparison of times in different time zones; 0 if `text` is not a time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _column(key: str, runs: list[Run], usual: dict[str, str]) -> Column:
    record = next(run.record(key) for run in runs if run.value(key) is not None)
    title = record.get("title", key.replace("_", " ")) + (f" | {record['given']}" if record.get("given") else "")
    group = "likelihood" if "likelihood" in record else "samples"
    protocol = record.get("protocol", "")
    if key not in usual:
        rules = {own: rule for run in runs for own, rule in run.protocols.items()}
        common = usual[metric_of(key, usual)]
        title += f" [{what_differs_from(rules.get(protocol, {}), rules.get(common, {}))}]"
    better, towards = record.get("higher_is_better"), record.get("towards_real", False)
    title, unit = (of_sound(text, runs[0]) for text in (title, record.get("unit", "")))
    return Column(key, title, unit, better, group, protocol=protocol, towards_real=towards)


def of_sound(text: str, run: Run) -> str:
    """A dimension of sound, data of shape (C, T), is a sample: bits/dim are bits/sample there."""
    return text.replace("bits/dim", "bits/sample") if len(run.row["data"].get("shape", ())) == 2 else text
