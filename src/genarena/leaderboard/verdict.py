"""Who is first in a table, by how much, and whether that is known: in one or two sentences."""

from collections.abc import Sequence

from genarena.leaderboard.cells import MIN_SEEDS
from genarena.leaderboard.heads import real_value
from genarena.leaderboard.lines import Gap, Line
from genarena.leaderboard.numbers import fixed, number
from genarena.leaderboard.ranking import UNTESTED, is_comparable
from genarena.leaderboard.tables import Table

MOST = 6  # names in a sentence


def verdict(table: Table) -> str:
    """The sentences; empty for a table that nothing ranks."""
    key = table.ranked_by
    if key is None:
        return ""
    title = table.column[key].title
    ranked = [line for line in table.lines if line.place is not None]
    first = [line for line in ranked if line.place == 1]
    if not ranked:
        said = _untested([line for line in table.lines if line.rank == UNTESTED], key, title)
    elif len(ranked) == 1:
        said = f"{first[0].name} is the only line that can be ranked by {title}."
    elif len(first) == 1:
        said = f"{first[0].name} is first by {title}. {_next(ranked[1])}"
    else:
        best = f"The best value is that of {ranked[0].name} ({ranked[0].cells[key].text})."
        said = f"Any of {_names(first)} may be first by {title}: the seeds do not tell them apart. {best} {_next(ranked[1])}"
    real = real_value(table, key)
    if not said or real is None:
        return said
    return f"{said} Real data has {fixed(real, table.lines[0].cells[key].decimals)}."


def _untested(lines: Sequence[Line], key: str, title: str) -> str:
    valued = [line for line in lines if is_comparable(line.cells[key])]
    if not valued:
        return ""
    best = f"The best {title} so far is that of {valued[0].name} ({valued[0].cells[key].text})."
    return f"No line is ranked: it takes {MIN_SEEDS} training seeds (seed=0,1,2) to tell models apart. {best}"


def _next(line: Line) -> str:
    """The difference of the second line to the first, with its interval."""
    gap = line.gap
    if gap is None:
        return ""
    value, low, high = (_signed(end, gap) for end in (gap.value, gap.low, gap.high))
    told = f"{value} times the value of {gap.to}" if gap.is_ratio else f"a difference of {value} to {gap.to}"
    small = ": too small to matter" if gap.equivalent else ""
    return f"Next is {line.name}, with {told} (95% interval {low} to {high}){small}."


def _signed(value: float, gap: Gap) -> str:
    sign = "-" if value < 0 else "" if gap.is_ratio else "+"
    return f"{sign}{number(abs(value))}"


def _names(lines: Sequence[Line]) -> str:
    names = [line.name for line in lines[:MOST]]
    if len(lines) > MOST:
        return f"{', '.join(names)} and {len(lines) - MOST} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
