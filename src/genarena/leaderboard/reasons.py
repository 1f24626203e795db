"""Why cells are empty, each reason once: `likelihood (bits/dim, NLL): has no likelihood: dcgan, sngan`."""

import re
from dataclasses import dataclass

from genarena.leaderboard.heads import full_title
from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table


@dataclass(frozen=True)
class Reason:
    """One reason, the titles of the columns that it empties, and the names of the lines; no names: the column is empty."""

    columns: tuple[str, ...]
    text: str
    lines: tuple[str, ...]


def reasons(table: Table) -> list[Reason]:
    """The reasons of a table. Columns that one reason empties for the same lines are named together."""
    lines: dict[tuple[str, str], list[str]] = {}
    for column in table.columns:
        for line in table.lines:
            cell = line.cells[column.key]
            if cell.value is None and cell.reason:
                lines.setdefault((_of_any(cell.reason, line), full_title(column)), []).append(line.name)
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (text, title), names in lines.items():
        columns.setdefault((text, tuple(names)), []).append(title)
    return [Reason(tuple(titles), text, names) for (text, names), titles in columns.items()]


def _of_any(text: str, line: Line) -> str:
    """The reason without the name of the model's class, so that the lines that share it are named together."""
    target = str((line.runs[0].row.get("line") or {}).get("settings", {}).get("model._target_", ""))
    name = target.rpartition(".")[2]
    return re.sub(rf"\b{re.escape(name)}\b", "the model", text) if name else text


def of_ranks(table: Table) -> list[Reason]:
    """Why lines have their rank, in the order of the table: the printed ranks are the columns."""
    names: dict[tuple[str, str], list[str]] = {}
    for line in table.lines:
        if line.rank_note and not line.is_reference:
            names.setdefault((line.rank, line.rank_note), []).append(line.name)
    return [Reason((rank,), text, tuple(found)) for (rank, text), found in names.items()]


def empty(table: Table) -> list[Reason]:
    """The metrics without a value in any line, grouped by their reason."""
    names: dict[str, list[str]] = {}
    for name, text in table.empty.items():
        names.setdefault(text, []).append(name)
    return [Reason(tuple(found), text, ()) for text, found in names.items()]
