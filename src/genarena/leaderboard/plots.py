"""Plots as positions on a canvas; `plot.html.jinja` turns them into SVG. No script, no library, text is escaped there."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from genarena.leaderboard.curves import Curve
from genarena.leaderboard.lines import Line
from genarena.leaderboard.numbers import number, prefixed
from genarena.leaderboard.tables import Table

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 40.0
FONT = 11.0
NUM_COLOURS = 10
MANY = 14  # points or curves beyond which only some are named; the others say their name when pointed at


@dataclass(frozen=True)
class Value:
    """One model in a plot: a point, with half its 95% interval upwards where there is one."""

    line: Line
    x: float
    y: float
    half_width: float | None = None


@dataclass
class Axis:
    title: str
    low: float
    high: float
    log: bool
    ticks: list[tuple[float, str]] = field(default_factory=list)  # position on the canvas, label


@dataclass
class Mark:
    """A point on the canvas. `bar`: the ends of its interval. `text`: where its name stands, None for none."""

    line: Line
    x: float
    y: float
    colour: int
    bar: tuple[float, float] | None
    label: str
    tip: str
    text: tuple[float, float, str] | None = None  # x, y, text-anchor


@dataclass
class Trace:
    line: Line
    points: str
    colour: int
    label: str
    end: tuple[float, float]
    text: float | None = None  # y of its name, right of the end


@dataclass
class Plot:
    """Everything in canvas units, y downwards."""

    title: str
    note: str
    x: Axis
    y: Axis
    marks: list[Mark] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    front: str = ""  # points of the Pareto front's staircase
    width: float = WIDTH
    height: float = HEIGHT
    frame: tuple[float, float, float, float] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def of_table(table: Table, curves: dict[str, dict[str, Curve]]) -> list[Plot]:
    """The plots of a table; `curves` are the training curves by the name of the line. What has no data is left out."""
    quality = next((key for key in ("fid", "fd_domain", "fd_dinov2", "fd_clip", "kid") if key in table.column), None)
    seconds = "sample_seconds_per_image"
    plots = []
    if quality:
        plots += [
            _scatter(table, seconds, quality, "Quality against sampling time"),
            _scatter(table, "bits_per_dim", quality, "Likelihood against quality"),
            _scatter(table, "parameters", quality, "Quality against size"),
        ]
    plots += [_validation(table, curves), _bounds(table)]
    return [plot for plot in plots if plot is not None]


def colour(family: str, families: Sequence[str]) -> int:
    """A number in [0, NUM_COLOURS)."""
    return families.index(family) % NUM_COLOURS


def families(table: Table) -> list[str]:
    return sorted({line.family for line in table.lines})


def pareto_front(values: Sequence[tuple[float, float]]) -> list[int]:
    """Indices, by growing x, of the points that no other is below or left of without being above or right."""
    front: list[int] = []
    for index in sorted(range(len(values)), key=lambda i: values[i]):
        if not front or values[index][1] < values[front[-1]][1]:
            front.append(index)
    return front


# -- points ------------------------------------------------------------------------------------------------------------


def _scatter(table: Table, x: str, y: str, title: str) -> Plot | None:
    """None for fewer than two points. A model without parameters has no place on the axis of sizes."""
    values = [
        Value(line, line.cells[x].value, line.cells[y].value, line.cells[y].half_width)
        for line in table.lines
        if x in table.column and line.cells[x].value and line.cells[y].value is not None
    ]
    if len(values) < 2:
        return None
    spread = [v.y + sign * (v.half_width or 0.0) for v in values for sign in (-1, 1)]
    x_axis = _axis(_axis_title(table, x), [v.x for v in values], (LEFT, WIDTH - RIGHT))
    y_axis = _axis(_axis_title(table, y), [v.y for v in values], (HEIGHT - BOTTOM, TOP), spread)
    plot = Plot(
        title,
        "Down and left is better. Bars are 95% intervals over training seeds, the line is the Pareto front.",
        x_axis,
        y_axis,
    )
    at_x, at_y = _scale(x_axis, LEFT, WIDTH - RIGHT), _scale(y_axis, HEIGHT - BOTTOM, TOP)
    known = families(table)
    for v in values:
        bar = (at_y(v.y - v.half_width), at_y(v.y + v.half_width)) if v.half_width else None
        tip = f"{v.line.name}: {table.column[y].title} {v.line.cells[y].text}, {table.column[x].title} {v.line.cells[x].text}"
        plot.marks.append(
            Mark(v.line, at_x(v.x), at_y(v.y), colour(v.line.family, known), bar, _short(v.line, table), tip)
        )
    racing = [i for i, v in enumerate(values) if v.line.competes]
    front = [racing[i] for i in pareto_front([(values[i].x, values[i].y) for i in racing])]
    plot.front = _staircase([(plot.marks[i].x, plot.marks[i].y) for i in front])
    first = [i for i, v in enumerate(values) if i in front or v.line.is_reference]
    _place_names(plot, first if len(values) > MANY else [*first, *(i for i in range(len(values)) if i not in first)])
    return plot


def _axis_title(table: Table, key: str) -> str:
    column = table.column[key]
    unit = f" ({column.unit})" if column.unit and column.unit != column.title else ""
    return f"{column.title}{unit}"


def _short(line: Line, table: Table) -> str:
    """The model's name where it tells the lines apart, else the whole name, cut."""
    alone = sum(other.model == line.model for other in table.lines) == 1
    name = line.model if alone else line.name
    return name if len(name) <= 24 else f"{name[:23]}…"


def _staircase(points: list[tuple[float, float]]) -> str:
    corners = points[:1]
    for (_, former), (x, y) in pairwise(points):
        corners += [(x, former), (x, y)]
    return _polyline(corners)


def _place_names(plot: Plot, order: Iterable[int]) -> None:
    """A name goes right of its point, or left, above, below: the first place that is free; else it is left out."""
    left, top, right, bottom = plot.frame
    taken = [(mark.x - 4, mark.y - 4, mark.x + 4, mark.y + 4) for mark in plot.marks]
    for index in order:
        mark = plot.marks[index]
        width = 0.6 * FONT * len(mark.label)
        for dx, dy, text_anchor in (
            (7, 4, "start"),
            (-7, 4, "end"),
            (0, -8, "middle"),
            (0, 16, "middle"),
            (6, -6, "start"),
            (6, 14, "start"),
            (-6, -6, "end"),
            (-6, 14, "end"),
        ):
            x, y = mark.x + dx, mark.y + dy
            start = x - {"start": 0.0, "end": width, "middle": width / 2}[text_anchor]
            box = (start, y - FONT + 2, start + width, y + 2)
            inside = box[0] >= left and box[2] <= right + RIGHT and box[1] >= top - TOP and box[3] <= bottom
            if inside and not any(_overlap(box, other) for other in taken):
                mark.text = (x, y, text_anchor)
                taken.append(box)
                break


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# -- lines -------------------------------------------------------------------------------------------------------------


def _validation(table: Table, curves: dict[str, dict[str, Curve]]) -> Plot | None:
    """Validation bits/dim, the one training curve that models share; where there is none, nothing."""
    key = "val/bits_per_dim"
    chosen = [(line, curves[line.name][key]) for line in table.lines if len(curves.get(line.name, {}).get(key, [])) > 1]
    return _curves(
        table,
        chosen,
        "Validation likelihood in training",
        "One run of each model, the first seed.",
        "share of the budget",
        "validation bits/dim",
        may_be_log=False,
    )


def _bounds(table: Table) -> Plot | None:
    chosen = []
    for line in table.lines:
        record = line.runs[0].row["metrics"].get("iw_bounds", {})
        points = [
            (float(k), float(nats))
            for k, nats in zip(record.get("k", []), record.get("nats", []), strict=False)
            if k and nats is not None and math.isfinite(nats)
        ]
        if len(points) > 1:
            chosen.append((line, points))
    return _curves(
        table,
        chosen,
        "Likelihood bound against k",
        "The importance-weighted bound tightens with k samples.",
        "importance samples k",
        "bound on the NLL (nats)",
    )


def _curves(
    table: Table, chosen: list[tuple[Line, Curve]], title: str, note: str, x: str, y: str, may_be_log: bool = True
) -> Plot | None:
    if not chosen:
        return None
    x_axis = _axis(x, [px for _, curve in chosen for px, _ in curve], (LEFT, WIDTH - RIGHT), may_be_log=may_be_log)
    values = sorted(py for _, curve in chosen for _, py in curve)
    last = max(curve[-1][1] for _, curve in chosen)
    high = max(last, values[int(0.95 * (len(values) - 1))])  # a first wild value does not flatten all curves
    y_axis = _axis(y, [min(py, high) for py in values], (HEIGHT - BOTTOM, TOP))
    plot = Plot(title, note, x_axis, y_axis)
    room = 90.0 if len(chosen) <= MANY else 0.0
    plot.frame = (LEFT, TOP, WIDTH - RIGHT - room, HEIGHT - BOTTOM)
    x_axis.ticks = _ticks(x_axis, (LEFT, WIDTH - RIGHT - room))
    at_x, at_y = _scale(x_axis, LEFT, WIDTH - RIGHT - room), _scale(y_axis, HEIGHT - BOTTOM, TOP)
    known = families(table)
    for line, curve in chosen:
        points = [(at_x(px), at_y(min(py, y_axis.high))) for px, py in curve]
        plot.traces.append(
            Trace(line, _polyline(points), colour(line.family, known), _short(line, table)[:16], points[-1])
        )
    if room:
        height = FONT + 2
        below = TOP
        for trace in sorted(plot.traces, key=lambda trace: trace.end[1]):  # names from the top, none over another
            trace.text = max(trace.end[1] + 4, below + height)
            below = trace.text
        excess = max(0.0, below - (HEIGHT - BOTTOM))
        for trace in plot.traces:
            trace.text -= excess if excess else 0.0
    return plot


def sparkline(curves: dict[str, Curve]) -> list[tuple[str, str, str, str]]:
    """(key, points in 0..100 x 0..30, first value, last value) of each loss of one run, each on its own scale."""
    drawn = []
    for key, curve in curves.items():
        if len(curve) < 2 or not key.endswith("loss"):
            continue
        values = sorted(y for _, y in curve)
        low, high = values[0], max(values[int(0.95 * (len(values) - 1))], curve[-1][1])
        height = (high - low) or 1.0
        points = [(100.0 * x, 29.0 - 28.0 * (min(y, high) - low) / height) for x, y in curve]
        drawn.append((key, _polyline(points), number(curve[0][1]), number(curve[-1][1])))
    return drawn


# -- axes --------------------------------------------------------------------------------------------------------------


def _axis(
    title: str, values: list[float], ends: tuple[float, float], spread: Iterable[float] = (), may_be_log: bool = True
) -> Axis:
    """Logarithmic where all values are positive and differ more than fivefold, if it may be. `spread`: ends of intervals."""
    low, high = min(values), max(values)
    log = may_be_log and low > 0 and high / low > 5
    reach = [value for value in spread if value > 0.5 * low or not log]
    low, high = min([low, *reach]), max([high, *reach])
    if log:
        margin = (high / low) ** 0.06
        axis = Axis(title, low / margin, high * margin, True)
    else:
        margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        axis = Axis(title, low - margin, high + margin, False)
    axis.ticks = _ticks(axis, ends)
    return axis


def _scale(axis: Axis, start: float, end: float) -> Callable[[float], float]:
    def position(value: float) -> float:
        if axis.log:
            share = math.log(max(value, axis.low) / axis.low) / math.log(axis.high / axis.low)
        else:
            share = (value - axis.low) / (axis.high - axis.low)
        return round(start + min(1.0, max(0.0, share)) * (end - start), 1)

    return position


def _ticks(axis: Axis, ends: tuple[float, float]) -> list[tuple[float, str]]:
    at = _scale(axis, *ends)
    return [
        (at(value), f"{value:g}" if 1e-3 <= abs(value) < 1000 else prefixed(value))
        for value in (_log_ticks(axis) if axis.log else _linear_ticks(axis))
    ]


def _linear_ticks(axis: Axis) -> list[float]:
    """About five round numbers."""
    rough = (axis.high - axis.low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    return [round(i * step, 12) for i in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)]


def _log_ticks(axis: Axis) -> list[float]:
    """Powers of ten, with 2 and 5 between them where that gives no more than seven."""
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    inside = [
        [m * 10.0**p for p in powers for m in marks if axis.low <= m * 10.0**p <= axis.high]
        for marks in ((1, 2, 5), (1, 3), (1,))
    ]
    ticks = next((ticks for ticks in inside if len(ticks) <= 7), inside[-1])
    return ticks[:: max(1, math.ceil(len(ticks) / 7))]


def _polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
