"""Tables of tasks, such as denoising: models, and the floors, methods without a trained model, that each row was scored with.

A table has the rows of one task with one data id, one protocol id (settings and noise) and one budget. With one seed an
interval is over the images; with two both values are shown; with more it is over training seeds.
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena.errors import ArenaError
from genarena.leaderboard.cells import MIN_SEEDS
from genarena.leaderboard.formats import escaped, formula_safe
from genarena.leaderboard.images import Gallery, Picture
from genarena.leaderboard.numbers import number, with_interval
from genarena.leaderboard.runs import Run, anchor, found, identity_of
from genarena.leaderboard.tables import budget_text, machine_of, time_of
from genarena.runs import evaluations
from genarena.runs.results import read_row
from genarena.statistics.intervals import mean, t_half_width

Record = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A cell. over: what the interval is over. both: the values of two seeds, which make no interval."""

    value: float | None
    half_width: float | None = None
    over: str = ""
    both: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.both:
            return ", ".join(map(number, self.both))
        return number(self.value) if self.half_width is None else with_interval(self.value, self.half_width)


@dataclass(frozen=True)
class TaskLine:
    """A model used in one way (`part`: mean, draw), one set of metrics for each seed; or a floor.

    kind: exact, asymptotic, heuristic or floor.
    """

    name: str
    part: str
    method: str
    kind: str
    metrics: list[dict[str, Record]]
    runs: list[Run]
    shown: list[str]

    @property
    def is_floor(self) -> bool:
        return not self.runs

    @property
    def shown_of(self) -> str:
        """The folder of the pictures; lines of one run share them."""
        return str(self.runs[0].folder) if self.runs else ""

    @property
    def anchor(self) -> str:
        """The HTML id of the section of the first run."""
        row = self.runs[0].row
        return anchor(row["data"]["id"], row["model"], str(row.get("run", self.runs[0].folder.parents[1].name)))

    def value(self, key: str) -> Value:
        """The mean over seeds. It has no value if one seed has none."""
        records = [metrics.get(key, {}) for metrics in self.metrics]
        values = [record.get("value") for record in records]
        if None in values:
            return Value(None, over=next((each["reason"] for each in records if each.get("reason")), "not measured"))
        if len(values) >= MIN_SEEDS:
            return Value(mean(values), t_half_width(values), f"{len(values)} training seeds")
        if len(values) > 1:
            return Value(mean(values), both=tuple(values))
        gap = records[0].get("margin")
        margin = (
            f"; {with_interval(gap['value'], gap['ci95_half_width'])} over {gap['over']}, image by image" if gap else ""
        )
        return Value(values[0], records[0].get("ci95_half_width"), f"{records[0].get('n')} images{margin}")


@dataclass(frozen=True)
class TaskTable:
    """columns: key of a metric -> heading. lines: the best of the first column on top."""

    title: str
    data_id: str
    protocol_id: str
    budget: str
    columns: dict[str, str]
    lines: list[TaskLine]

    @property
    def anchor(self) -> str:
        return anchor(self.title, self.data_id, self.budget, self.protocol_id)


def find_task_rows(runs_dir: Path) -> list[Run]:
    """All rows of tasks below `runs_dir`. Unreadable ones are left out: `find_runs` names them."""
    runs = []
    for path in found(runs_dir, "result.json"):
        if not evaluations.is_evaluation(path):
            continue
        try:
            row = read_row(path)
            evaluations.check_weights(row, path)
        except ArenaError:
            continue
        runs += [Run(row, path.parent)] if "task" in row and row["status"] == "ok" and "budget" in row else []
    return runs


def make_task_tables(runs: Iterable[Run]) -> list[TaskTable]:
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: time_of(run.row.get("time", ""))):
        row = run.row
        key = row["task"]["title"], row["data"]["id"], row["task"]["protocol"]["id"], budget_text(row["budget"])
        groups.setdefault(key, []).append(run)
    return [_table(key, group) for key, group in sorted(groups.items())]


def _table(key: tuple[str, ...], runs: list[Run]) -> TaskTable:
    newest = {(identity_of(run), machine_of(run), _algorithm(run.row["task"]), run.seed): run for run in runs}
    seeds: dict[tuple[Any, ...], list[Run]] = {}
    for (*line, _), run in newest.items():
        seeds.setdefault(tuple(line), []).append(run)
    lines = [line for group in seeds.values() for line in _of_model(sorted(group, key=lambda run: run.seed))]
    floors = runs[-1].row["task"]["floors"]
    lines += [TaskLine(name, "", name, "floor", [made["metrics"]], [], []) for name, made in floors.items()]
    records = {name: record for line in lines for metrics in line.metrics for name, record in metrics.items()}
    columns = {name: _heading(record) for name, record in records.items()}
    first = next(iter(columns), "")
    sign = 1.0 if records.get(first, {}).get("higher_is_better") is False else -1.0
    lines.sort(key=lambda line: (line.value(first).value is None, sign * (line.value(first).value or 0.0)))
    return TaskTable(*key, columns, lines)


def _algorithm(task: dict[str, Any]) -> str:
    """An algorithm with its options tells lines apart."""
    return json.dumps([task["algorithm"]["name"], task["algorithm"].get("options")], sort_keys=True)


def _of_model(runs: list[Run]) -> list[TaskLine]:
    """A line for each way in which the model was used."""
    task = runs[0].row["task"]
    algorithm, lines = task["algorithm"], []
    for part in task["lines"]:
        metrics = [run.row["task"]["lines"].get(part, {}).get("metrics", {}) for run in runs]
        lines.append(
            TaskLine(runs[0].name, part, algorithm["name"], algorithm["exactness"], metrics, runs, task["shown"])
        )
    return lines


def _heading(record: Record) -> str:
    unit = f" ({record['unit']})" if record.get("unit") else ""
    arrow = {True: " ↑", False: " ↓"}.get(record.get("higher_is_better"), "")
    if (target := record.get("target")) is not None:
        arrow = f" → {target:.3g}"
    return f"{record.get('title', '')}{unit}{arrow}"


def pictures(tables: Iterable[TaskTable]) -> tuple[dict[Path, dict[str, Picture]], list[str]]:
    """Folder of a row -> name -> picture, and a line of text per unreadable picture."""
    folders = dict.fromkeys(line.runs[0].folder for table in tables for line in table.lines if line.runs)
    paths = {folder: sorted(folder.glob("*.png")) for folder in folders}
    gallery, made, complaints = Gallery(sum(map(len, paths.values()))), {}, []
    for folder, files in paths.items():
        made[folder] = {}
        for path in files:
            try:
                made[folder][path.stem] = gallery.picture(path)
            except (ArenaError, OSError) as error:
                complaints.append(str(error))
    return made, complaints


# -- other formats -----------------------------------------------------------------------------------------------------


def caption(table: TaskTable) -> str:
    return f"{table.title}: {table.data_id}, budget {table.budget}, protocol {table.protocol_id}"


def markdown(tables: Iterable[TaskTable]) -> str:
    parts = []
    for table in tables:
        head = ["method", "part", "algorithm", "kind", "seeds", *table.columns.values()]
        rows = [
            [
                line.name,
                line.part,
                line.method,
                line.kind,
                str(len(line.runs) or ""),
                *(line.value(key).text for key in table.columns),
            ]
            for line in table.lines
        ]
        parts.append(f"## {escaped(caption(table))}\n")
        cells = (head, ["---"] * len(head), *rows)
        parts.append("\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in cells) + "\n")
        parts += [
            f"- {escaped(line.name)}, {escaped(heading)}: {escaped(line.value(key).over)}"
            for line in table.lines
            for key, heading in table.columns.items()
            if line.runs and line.value(key).over
        ]
        parts.append("")
    return "\n".join(parts)


def comma_separated(tables: Iterable[TaskTable]) -> str:
    """All tables in one CSV file; `<metric>_ci95` is half the interval."""
    rows, file = [], io.StringIO()
    for table in tables:
        for line in table.lines:
            row = {"task": table.title, "data": table.data_id, "protocol": table.protocol_id, "budget": table.budget}
            row |= {
                "method": line.name,
                "part": line.part,
                "algorithm": line.method,
                "kind": line.kind,
                "num_seeds": len(line.runs),
            }
            for key in table.columns:
                value = line.value(key)
                row |= {key: value.value, f"{key}_ci95": value.half_width}
            rows.append(row)
    writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows({name: formula_safe(value) for name, value in row.items()} for row in rows)
    return file.getvalue()
