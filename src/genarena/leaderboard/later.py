"""Later evaluations of a run (`runs.evaluations`): more metrics of a line, other seeds of sampling, or other samplers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genarena.errors import ArenaError, UserError
from genarena.runs import evaluations
from genarena.runs.results import read_row

Row = dict[str, Any]


@dataclass
class Scored:
    """A row and its folder; later: rows of the same line and weights."""

    row: Row
    folder: Path
    later: list[Row] = field(default_factory=list)


@dataclass
class OfRun:
    """lines: that of the run, and those of its weights under other samplers. complaints: a text per file that is left out."""

    lines: list[Scored]
    complaints: list[str] = field(default_factory=list)


def evaluations_of(row: Row, folder: Path) -> OfRun:
    """All that was scored of the run with this row. Tasks are left out: they have tables of their own."""
    found = OfRun([Scored(row, folder)])
    for path in evaluations.paths_of(folder):
        try:
            again = _read(path, row, folder)
        except ArenaError as error:
            found.complaints.append(str(error))
            continue
        if "task" not in again:
            _join(found.lines, again, path)
    return found


def _read(path: Path, row: Row, folder: Path) -> Row:
    """The row at `path`. Raises ArenaError if it is no result of the run in this folder."""
    again = read_row(path)
    evaluations.check_weights(again, path, folder)
    if "task" in again:
        return again
    if again["line"]["settings"] != row["line"]["settings"] and "evaluation" not in again:
        raise UserError(f"{path} is about another line than its run, and names no sampler")
    if again["data"]["split"] == "val":
        raise UserError(f"{path} is about the validation split, and no result")
    return again


def _join(lines: list[Scored], again: Row, path: Path) -> None:
    """Put a row beside those of its line, or make it one."""
    for line in lines:
        if line.row["line"]["settings"] == again["line"]["settings"]:
            line.later.append(again)
            return
    lines.append(Scored(again, path.parent if path.name == "result.json" else path.with_suffix("")))
