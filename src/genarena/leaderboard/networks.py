"""The networks whose features the metrics of a table were measured in, and how good the classifiers among them are."""

from dataclasses import dataclass, field
from typing import Any

from genarena.leaderboard import aspects
from genarena.leaderboard.heads import features
from genarena.leaderboard.numbers import fixed
from genarena.leaderboard.tables import Column, Table


@dataclass
class Network:
    """One network, or several that were trained alike.

    skill: text on how good they are; empty where they are no classifiers of this data. columns: titles of what is measured
    with it. spreads: title of a column -> texts, one for each line: the smallest and the largest value of the members.
    """

    name: str
    weights: str
    skill: str
    columns: list[str] = field(default_factory=list)
    spreads: dict[str, list[str]] = field(default_factory=dict)


def networks(table: Table) -> list[Network]:
    """All networks of a table, in the order of its columns."""
    found: dict[tuple[str, str], Network] = {}
    for column in aspects.ordered(table):
        for record in aspects.records(table, column.key):
            backbone = record.get("backbone")
            if not isinstance(backbone, dict):
                continue
            name, weights = features(record), str(backbone.get("weights", ""))
            network = found.setdefault((name, weights), Network(name, weights, _skill(backbone)))
            if column.title not in network.columns:
                network.columns.append(column.title)
                network.spreads |= {column.title: texts} if (texts := _spreads(table, column)) else {}
    return list(found.values())


def _skill(backbone: dict[str, Any]) -> str:
    """`4 networks; 98.7% of held-out images right; they avoid 94.4% of the mistakes of guessing the most frequent class`."""
    count, accuracy, skill = (backbone.get(key) for key in ("classifiers", "test_accuracy", "skill"))
    said = [f"{count} network{'s' if count != 1 else ''}, trained on the labels of this data"] if count else []
    said += [f"{accuracy:.1%} of held-out images right"] if isinstance(accuracy, int | float) else []
    if isinstance(skill, int | float):
        said.append(f"at least {skill:.1%} of the mistakes of a guess (the most frequent class) avoided on validation")
    return "; ".join(said)


def _spreads(table: Table, column: Column) -> list[str]:
    texts = []
    for line in table.lines:
        each = line.runs[0].record(column.key).get("per_classifier")
        if isinstance(each, list) and len(each) > 1 and all(isinstance(value, int | float) for value in each):
            places = line.cells[column.key].decimals
            texts.append(f"{line.name} {fixed(min(each), places)} to {fixed(max(each), places)}")
    return texts
