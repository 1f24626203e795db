"""Scatter plots of two columns of a table, one point per model, with the Pareto front."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from genarena.leaderboard.axes import RIGHT, TOP, across, make_axis, upwards
from genarena.leaderboard.drawing import FONT, MANY, Mark, Plot, colour, families, polyline, short_name
from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table

NOTE = "Down and left is better. Bars are 95% intervals over training seeds, the line is the Pareto front."
PLACES = (  # positions of a label relative to its point: dx, dy, text-anchor; the first free one is used
    (7, 4, "start"),
    (-7, 4, "end"),
    (0, -8, "middle"),
    (0, 16, "middle"),
    (6, -6, "start"),
    (6, 14, "start"),
    (-6, -6, "end"),
    (-6, 14, "end"),
)


@dataclass(frozen=True)
class Value:
    """The values of one line. half_width: half the 95% interval of y; None: no interval."""

    line: Line
    x: float
    y: float
    half_width: float | None = None


def scatter(table: Table, x: str, y: str, title: str) -> Plot | None:
    """The plot of column `y` against column `x`; None if there are fewer than two points.

    Lines with x = 0 are left out, for example models without parameters.
    """
    values = [
        Value(line, line.cells[x].value, line.cells[y].value, line.cells[y].half_width)
        for line in table.lines
        if x in table.column and line.cells[x].value and line.cells[y].value is not None
    ]
    if len(values) < 2:
        return None
    spread = [v.y + sign * (v.half_width or 0.0) for v in values for sign in (-1, 1)]
    x_axis = make_axis(_axis_title(table, x), [v.x for v in values])
    y_axis = make_axis(_axis_title(table, y), [v.y for v in values], spread)
    plot = Plot(title, NOTE, x_axis, y_axis)
    plot.marks = _marks(table, values, plot, (x, y))
    racing = [i for i, v in enumerate(values) if v.line.competes]
    front = [racing[i] for i in pareto_front([(values[i].x, values[i].y) for i in racing])]
    plot.front = _staircase([(plot.marks[i].x, plot.marks[i].y) for i in front])
    first = [i for i, v in enumerate(values) if i in front or v.line.is_reference]
    place_names(plot, first if len(values) > MANY else [*first, *(i for i in range(len(values)) if i not in first)])
    return plot


def pareto_front(values: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates (lower is better in x and y), in the order of x."""
    front: list[int] = []
    for index in sorted(range(len(values)), key=lambda i: values[i]):
        if not front or values[index][1] < values[front[-1]][1]:
            front.append(index)
    return front


def _axis_title(table: Table, key: str) -> str:
    column = table.column[key]
    unit = f" ({column.unit})" if column.unit and column.unit != column.title else ""
    return f"{column.title}{unit}"


def _marks(table: Table, values: Sequence[Value], plot: Plot, keys: tuple[str, str]) -> list[Mark]:
    at_x, at_y, known = across(plot.x), upwards(plot.y), families(table)
    marks = []
    for v in values:
        bar = (at_y(v.y - v.half_width), at_y(v.y + v.half_width)) if v.half_width else None
        said = [f"{table.column[key].title} {v.line.cells[key].text}" for key in reversed(keys)]
        tip = f"{v.line.name}: {', '.join(said)}"
        shade = colour(v.line.family, known)
        marks.append(Mark(v.line, at_x(v.x), at_y(v.y), shade, bar, short_name(v.line, table), tip))
    return marks


def _staircase(points: list[tuple[float, float]]) -> str:
    corners = points[:1]
    for (_, former), (x, y) in pairwise(points):
        corners += [(x, former), (x, y)]
    return polyline(corners)


def place_names(plot: Plot, order: Iterable[int]) -> None:
    """Place the labels of the marks, in this order, without overlap with other labels or points. Some may not find a place."""
    left, top, right, bottom = plot.frame
    taken = [(mark.x - 4, mark.y - 4, mark.x + 4, mark.y + 4) for mark in plot.marks]
    for index in order:
        mark = plot.marks[index]
        width = 0.6 * FONT * len(mark.label)
        for dx, dy, text_anchor in PLACES:
            x, y = mark.x + dx, mark.y + dy
            start = x - {"start": 0.0, "end": width, "middle": width / 2}[text_anchor]
            box = (start, y - FONT + 2, start + width, y + 2)
            inside = box[0] >= left and box[2] <= right + RIGHT and box[1] >= top - TOP and box[3] <= bottom
            if inside and not any(overlap(box, other) for other in taken):
                mark.text = (x, y, text_anchor)
                taken.append(box)
                break


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, right, bottom) overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
