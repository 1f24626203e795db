"""What stands around the tables: links to them that differ, the matrix of models and data sets, a section per model."""

from collections import Counter
from dataclasses import dataclass

from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table


@dataclass(frozen=True)
class Link:
    """An entry of the navigation. apart: what tells this table from others with the same data and budget."""

    table: Table
    label: str
    apart: str


@dataclass(frozen=True)
class Place:
    """A line in its table. text: the value of the ranking metric."""

    table: Table
    line: Line
    text: str


def navigation(tables: list[Table]) -> list[Link]:
    """One link per table. Entries that would read alike also say on which machine."""
    labels = [f"{table.data_id}, {table.budget}" for table in tables]
    count = Counter(labels)
    links = []
    for table, label in zip(tables, labels, strict=True):
        links.append(Link(table, label, f"on {table.machine}" if count[label] > 1 else ""))
    return links


def places(tables: list[Table]) -> dict[str, dict[int, Place]]:
    """Name of a line -> index of a table -> its place there. References come last."""
    found: dict[str, dict[int, Place]] = {}
    references = {line.name for table in tables for line in table.lines if line.is_reference}
    for index, table in enumerate(tables):
        for line in table.lines:
            found.setdefault(line.name, {})[index] = Place(table, line, value_text(table, line))
    return {name: found[name] for name in sorted(found, key=lambda name: (name in references, name))}


def models(tables: list[Table]) -> dict[str, list[Place]]:
    """Model -> its lines in all tables, in the order of the tables. References and imported rows come last."""
    found: dict[str, list[Place]] = {}
    for table in tables:
        for line in table.lines:
            found.setdefault(line.model, []).append(Place(table, line, value_text(table, line)))
    last = {name for name, all_ in found.items() if all(p.line.is_reference or p.line.imported for p in all_)}
    return {name: found[name] for name in sorted(found, key=lambda name: (name in last, name))}


def value_text(table: Table, line: Line) -> str:
    """The ranking metric of a line as text; empty where the table has none."""
    return line.cells[table.ranked_by].text if table.ranked_by else ""
