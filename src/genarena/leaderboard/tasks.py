"""Tables of tasks, such as denoising: models, and the floors, methods without a trained model, that each row was scored with.

A table has the rows of one task with one data id, one protocol id (settings and noise) and one budget. With one seed an
interval is over the images, or what else was counted; with two both values are shown; with more it is over training seeds.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from genarena.errors import ArenaError
from genarena.leaderboard.numbers import number
from genarena.leaderboard.runs import Run, anchor, found, identity_of
from genarena.leaderboard.tables import budget_text, machine_of, time_of
from genarena.leaderboard.task_lines import Record, TaskLine, Value
from genarena.runs import evaluations
from genarena.runs.results import read_row

COLUMN = ("title", "unit", "higher_is_better", "target")  # what the records of a column share


@dataclass(frozen=True)
class Column:
    """title: with the unit. target: the value of a calibrated method; a column with a target has no direction.

    sign: 1 if less is better, -1 if more is, 0 if neither.
    """

    title: str
    sign: int = 0
    target: float | None = None

    @property
    def heading(self) -> str:
        if self.target is not None:
            return f"{self.title} → {number(self.target).rstrip('0').rstrip('.')}"
        return self.title + {1: " ↓", -1: " ↑", 0: ""}[self.sign]


@dataclass(frozen=True)
class TaskTable:
    """columns: key of a metric -> column. ranked_by: the first one with a direction; its best line is on top.

    group: what the table shares with those of other cases. case: "" where a task has only one.
    """

    title: str
    data_id: str
    protocol_id: str
    budget: str
    group: str
    case: str
    columns: dict[str, Column]
    lines: list[TaskLine]

    @property
    def anchor(self) -> str:
        return anchor(self.title, self.data_id, self.budget, self.protocol_id)

    @property
    def ranked_by(self) -> str | None:
        return next((key for key, column in self.columns.items() if column.sign), None)

    def heading(self, key: str) -> str:
        return self.columns[key].heading

    @cached_property
    def best(self) -> dict[str, TaskLine]:
        """Key -> the line with the best value, where the intervals say that it is: no other interval reaches into its own."""
        found = {}
        for key, column in self.columns.items():
            values = sorted(
                (column.sign * value.value, number_, line, value)
                for number_, line in enumerate(self.lines)
                if column.sign and not line.is_real and (value := line.value(key)).value is not None
            )
            if len(values) > 1 and _apart(values[0][3], [each[3] for each in values[1:]]):
                found[key] = values[0][2]
        return found


def _apart(best: Value, others: Iterable[Value]) -> bool:
    """Whether the best differs from all others by more than both half-widths together say, as of independent values."""
    return best.half_width is not None and all(
        other.half_width is not None and abs(best.value - other.value) > math.hypot(best.half_width, other.half_width)
        for other in others
    )


def read_task_rows(runs_dir: Path) -> tuple[list[Run], list[str]]:
    """All rows of tasks below `runs_dir`, and a line of text for each of another form, such as of an earlier version.
    Unreadable ones are left out: `find_runs` names them."""
    runs, left_out = [], []
    for path in found(runs_dir, "result.json"):
        if not evaluations.is_evaluation(path):
            continue
        try:
            row = read_row(path)
            evaluations.check_weights(row, path, path.parents[2])
        except ArenaError:
            continue
        if "task" not in row or row["status"] != "ok" or "budget" not in row:
            continue
        if _fits(row["task"]):
            runs.append(Run(row, path.parent))
        else:
            left_out.append(f"{path} is a row of a task in another form: score it again with scripts/task.py")
    return runs, left_out


def find_task_rows(runs_dir: Path) -> list[Run]:
    return read_task_rows(runs_dir)[0]


def _fits(task: dict[str, Any]) -> bool:
    """Whether the protocol, which the schema leaves open, says what table the row belongs to."""
    return {"table", "case"} <= set(task["protocol"]) and bool(task["lines"])


def make_task_tables(runs: Iterable[Run]) -> list[TaskTable]:
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: time_of(run.row.get("time", ""))):
        row = run.row
        rules = row["task"]["protocol"]
        key = rules["table"], rules["case"], row["data"]["id"], rules["id"], budget_text(row["budget"])
        groups.setdefault(key, []).append(run)
    return [_table(key, group) for key, group in sorted(groups.items())]


def _table(key: tuple[str, ...], runs: list[Run]) -> TaskTable:
    newest = {(identity_of(run), machine_of(run), _algorithm(run.row["task"]), run.seed): run for run in runs}
    seeds: dict[tuple[Any, ...], list[Run]] = {}
    for (*line, _), run in newest.items():
        seeds.setdefault(tuple(line), []).append(run)
    lines = [line for group in seeds.values() for line in _of_model(sorted(group, key=lambda run: run.seed))]
    floors, counted = runs[-1].row["task"]["floors"], _counted(runs[-1].row)
    for name, made in floors.items():
        kind = "real" if made.get("is_real") else "floor"
        lines.append(TaskLine(name, "", name, kind, [made["metrics"]], [], counted=counted))
    records: dict[str, Record] = {}
    for line in lines:
        for name, record in line.metrics[0].items():
            records[name] = records.get(name, {}) | {key: each for key, each in record.items() if key in COLUMN}
    records = {name: records[name] for name in _order([list(line.metrics[0]) for line in lines])}
    columns = {name: _column(name, record) for name, record in records.items()}
    group, case, data_id, protocol_id, budget = key
    title = runs[0].row["task"]["title"]
    table = TaskTable(title, data_id, protocol_id, budget, group.capitalize(), case, columns, lines)
    if (first := table.ranked_by) is not None:
        sign = columns[first].sign
        lines.sort(key=lambda line: (line.value(first).value is None, sign * (line.value(first).value or 0.0)))
    return table


def _algorithm(task: dict[str, Any]) -> str:
    """An algorithm with its options tells lines apart."""
    return json.dumps([task["algorithm"]["name"], task["algorithm"].get("options")], sort_keys=True)


def _of_model(runs: list[Run]) -> list[TaskLine]:
    """A line for each way in which the model was used; it may have another name in each seed."""
    algorithm, lines = runs[0].row["task"]["algorithm"], {}
    for role, names in _roles([run.row["task"]["lines"] for run in runs]).items():
        metrics = [
            run.row["task"]["lines"].get(name, {}).get("metrics", {}) for name, run in zip(names, runs, strict=True)
        ]
        part, differ = (role, names) if len(set(names)) > 1 else (names[0], ())
        method = algorithm["name"], algorithm["exactness"]
        line = TaskLine(runs[0].name, part, *method, metrics, runs, differ, _counted(runs[0].row))
        lines.setdefault(names, line)  # one line may have two roles in every seed
    return list(lines.values())


def _counted(row: dict[str, Any]) -> str:
    """What the examples of a row are."""
    return "images" if len(row["data"].get("shape", ())) == 3 else "examples"


def _roles(seeds: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Role of a line -> its name in the row of each seed. A line without roles is its name."""
    each = [{role: name for name, line in lines.items() for role in line.get("roles", (name,))} for lines in seeds]
    every = dict.fromkeys(role for names in each for role in names)
    return {role: tuple(names.get(role, role) for names in each) for role in every}


def _order(lists: Iterable[list[str]]) -> list[str]:
    """All names: those of the first list in its order, and each other one after the name before it in its own list."""
    found: list[str] = []
    for names in lists:
        place = 0
        for name in names:
            if name not in found:
                found.insert(place, name)
            place = found.index(name) + 1
    return found


def _column(name: str, record: Record) -> Column:
    unit = f" ({record['unit']})" if record.get("unit") else ""
    target = record.get("target")
    sign = {True: -1, False: 1}.get(record.get("higher_is_better"), 0) if target is None else 0
    return Column(f"{record.get('title', name)}{unit}", sign, target)
