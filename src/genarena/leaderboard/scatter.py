"""Scatter plots of two columns of a table, one point per line, with the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from genarena.leaderboard.axes import across, make_axis, upwards
from genarena.leaderboard.cells import MIN_SEEDS
from genarena.leaderboard.drawing import Mark, Plot, colour, interval, polyline, short_name
from genarena.leaderboard.heads import full_title
from genarena.leaderboard.joins import joined
from genarena.leaderboard.labels import place_names
from genarena.leaderboard.lines import Line
from genarena.leaderboard.ranking import is_comparable
from genarena.leaderboard.tables import Table

BUDGETED, SAME = (
    ("train_flops", "train_seconds"),
    1.05,
)  # costs that a budget may set, and then differ by a smaller ratio


@dataclass(frozen=True)
class Wish:
    """A plot of column `y` against column `x`.

    more_is_better: up and right are better, else down and left. options: of samplers; lines of one model that differ in one
    of them are joined.
    """

    x: str
    y: str
    title: str
    more_is_better: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Value:
    """The values of one line. spread: the interval of y; None: no interval."""

    line: Line
    x: float
    y: float
    spread: tuple[float, float] | None = None


def scatter(table: Table, wish: Wish) -> Plot | None:
    """The plot; None if there are fewer than two points, or if the budget has made the cost the same for all.

    Costs of 0 are left out, for example models without parameters: they have no place on a logarithm.
    """
    x, y = wish.x, wish.y
    if x not in table.column or y not in table.column:
        return None
    both = [(line, line.cells[x], line.cells[y]) for line in table.lines]
    values = [
        Value(line, across_.value, up.value, interval(up))
        for line, across_, up in both
        if up.value is not None and across_.value is not None and (across_.value or not table.column[x].is_cost)
    ]
    if len(values) < 2 or (x in BUDGETED and _is_given(values)):
        return None
    may_be_log = not wish.more_is_better
    x_axis = make_axis(full_title(table.column[x]), [v.x for v in values], may_be_log=may_be_log)
    y_axis = make_axis(
        full_title(table.column[y]), [v.y for v in values], [end for v in values for end in v.spread or ()], may_be_log
    )
    front = front_of(table, values, wish)
    plot = Plot(wish.title, _note(values, front, wish), x_axis, y_axis)
    plot.marks = _marks(table, values, plot, (x, y))
    plot.front = _staircase([(plot.marks[i].x, plot.marks[i].y) for i in front])
    plot.joins = _joins(values, plot, wish)
    others = [i for i, v in enumerate(values) if i not in front and not v.line.is_reference]
    place_names(plot.marks, plot.frame, [*front, *(i for i, v in enumerate(values) if v.line.is_reference), *others])
    return plot


def _is_given(values: Sequence[Value]) -> bool:
    """Whether a cost is the same for all models; references may have another."""
    costs = [v.x for v in values if not v.line.is_reference]
    return len(costs) > 1 and max(costs) <= SAME * min(costs)


def pareto_front(values: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates (lower is better in x and y), in the order of x."""
    front: list[int] = []
    for index in sorted(range(len(values)), key=lambda i: values[i]):
        if not front or values[index][1] < values[front[-1]][1]:
            front.append(index)
    return front


def front_of(table: Table, values: Sequence[Value], wish: Wish) -> list[int]:
    """Indices of the values on the Pareto front of those that race: ranked lines, so three seeds each, without estimated
    likelihoods."""
    racing = [i for i, v in enumerate(values) if _races(table, v.line, wish)]
    sign = -1.0 if wish.more_is_better else 1.0
    return [racing[i] for i in pareto_front([(sign * values[i].x, sign * values[i].y) for i in racing])]


def _races(table: Table, line: Line, wish: Wish) -> bool:
    cells = [line.cells[key] for key in (wish.x, wish.y)]
    is_tested = line.place is not None if table.ranked_by else min(cell.num_seeds for cell in cells) >= MIN_SEEDS
    return is_tested and line.competes and all(map(is_comparable, cells))


def _note(values: Sequence[Value], front: list[int], wish: Wish) -> str:
    notes = ["Up and right is better." if wish.more_is_better else "Down and left is better."]
    notes += ["Bars are 95% intervals."] if any(v.spread for v in values) else []
    notes += ["Dashed: the Pareto front of the ranked lines, estimates left out."] if len(front) > 1 else []
    if joined([v.line for v in values], wish.options):
        notes.append(f"A line joins one model under several settings of its sampler ({', '.join(wish.options)}).")
    return " ".join(notes)


def _marks(table: Table, values: Sequence[Value], plot: Plot, keys: tuple[str, str]) -> list[Mark]:
    at_x, at_y = across(plot.x), upwards(plot.y)
    marks = []
    for v in values:
        bar = v.spread and (at_y(v.spread[0]), at_y(v.spread[1]))
        said = [f"{table.column[key].title} {v.line.cells[key].text}" for key in reversed(keys)]
        tip = f"{v.line.name}: {', '.join(said)}"
        marks.append(Mark(v.line, at_x(v.x), at_y(v.y), colour(v.line.family), bar, short_name(v.line, table), tip))
    return marks


def _joins(values: Sequence[Value], plot: Plot, wish: Wish) -> list[tuple[int, str]]:
    places = {id(mark.line): (mark.x, mark.y) for mark in plot.marks}
    groups = joined([v.line for v in values], wish.options)
    return [(colour(group[0].family), polyline([places[id(line)] for line in group])) for group in groups]


def _staircase(points: list[tuple[float, float]]) -> str:
    corners = points[:1]
    for (_, former), (x, y) in pairwise(points):
        corners += [(x, former), (x, y)]
    return polyline(corners)
