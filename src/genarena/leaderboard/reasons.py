"""Why cells are empty, each reason once: `likelihood (bits/dim, NLL): has no likelihood: dcgan, sngan`."""

from dataclasses import dataclass

from genarena.leaderboard.heads import full_title
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
                lines.setdefault((cell.reason, full_title(column)), []).append(line.name)
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (text, title), names in lines.items():
        columns.setdefault((text, tuple(names)), []).append(title)
    return [Reason(tuple(titles), text, names) for (text, names), titles in columns.items()]


def empty(table: Table) -> list[Reason]:
    """The metrics without a value in any line, grouped by their reason."""
    names: dict[str, list[str]] = {}
    for name, text in table.empty.items():
        names.setdefault(text, []).append(name)
    return [Reason(tuple(found), text, ()) for text, found in names.items()]
