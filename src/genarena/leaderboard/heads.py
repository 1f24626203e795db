"""The heading of a column: meaning, unit, number of examples, features, and the value of real data."""

import re
from dataclasses import dataclass

from genarena.leaderboard import aspects
from genarena.leaderboard.numbers import number
from genarena.leaderboard.tables import Column, Table

DIGEST = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True)
class Head:
    """One column as the page heads it.

    n: of the models; the floors and ceilings may have another. usual_n: if it is one number.
    real: the value of real data at the same n, which is the reference; None: not known.
    presets: names of the groups of columns that show it.
    """

    column: Column
    aspect: str
    presets: list[str]
    meaning: str
    n: str
    usual_n: int | None
    features: str
    real: float | None

    @property
    def protocol(self) -> str:
        return getattr(self.column, "protocol", "")

    @property
    def brief(self) -> str:
        return self.meaning if self.column.is_cost else aspects.brief(self.meaning)

    @property
    def full(self) -> str:
        """Title and unit: two columns may share a title."""
        return full_title(self.column)

    @property
    def unit(self) -> str:
        return self.column.unit if self.column.unit != self.column.title else ""

    @property
    def real_text(self) -> str:
        return "" if self.real is None else number(self.real)

    @property
    def by_distance(self) -> bool:
        """Whether lines are sorted by their distance to real data, because more is neither better nor worse."""
        return self.real is not None and not self.column.is_cost and self.column.higher_is_better is None

    @property
    def arrow(self) -> str:
        if self.column.is_cost or self.column.higher_is_better is None:
            return "→" if self.by_distance else ""
        return "↑" if self.column.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        """Which values are better, in words."""
        if self.column.is_cost:
            return "less is cheaper"
        if self.column.higher_is_better is not None:
            return "more is better" if self.column.higher_is_better else "less is better"
        return "nearer to real data is better" if self.by_distance else "neither more nor less is better"

    def key_of(self, value: float) -> float:
        """What a value is sorted by."""
        return abs(value - self.real) if self.by_distance else value


def heads(table: Table) -> list[Head]:
    """The headings of a table, in the order of the page."""
    first = aspects.overview(table)
    return [_head(column, table, first) for column in aspects.ordered(table)]


def full_title(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit and column.unit != column.title else column.title


def _head(column: Column, table: Table, first: list[str]) -> Head:
    found = _of_models(table, column.key)
    sizes = [] if column.is_cost else [record["n"] for record in found if isinstance(record.get("n"), int)]
    return Head(
        column,
        aspects.aspect(column, table),
        aspects.presets(column, table, first),
        aspects.meaning(column),
        _counts(sizes),
        sizes[0] if len(set(sizes)) == 1 else None,
        ", ".join(dict.fromkeys(filter(None, map(_space, found)))),
        None if column.is_cost else real_value(table, column.key),
    )


def _of_models(table: Table, key: str) -> list[dict]:
    """The records of models; those of references where there are no others. Held-out data are fewer than samples are."""
    return aspects.records(table, key, with_references=False) or aspects.records(table, key)


def real_value(table: Table, key: str) -> float | None:
    """What real data has: the mean of the values that models recorded, else that of the held-out set in the table."""
    recorded = [record.get("real") for record in _of_models(table, key)]
    recorded = [value for value in recorded if isinstance(value, int | float)]
    if recorded:
        return sum(recorded) / len(recorded)
    has_sign = any(line.cells[key].sign for line in table.lines)
    held_out = next((line.cells[key].value for line in table.lines if line.model == "heldout"), None)
    return None if has_sign else held_out


def _counts(found: list[int]) -> str:
    low, high = (min(found), max(found)) if found else (0, 0)
    return "" if not found else f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _space(record: dict) -> str:
    """The features of a number; of classifiers that each have a value, also how often they are right."""
    backbone, name = record.get("backbone"), features(record)
    accuracy = backbone.get("test_accuracy") if isinstance(backbone, dict) and "per_classifier" in record else None
    return f"{name}, {accuracy:.1%} right" if isinstance(accuracy, int | float) else name


def features(record: dict) -> str:
    """The name of the network that a number was measured with, without its digest; empty for none."""
    backbone = record.get("backbone")
    name = backbone.get("name", "") if isinstance(backbone, dict) else ""
    return DIGEST.sub("", str(name)).replace("-", " ")
