"""Plots of a table of a task: perception against distortion, calibration, accuracy against recall.

Drawn in SVG by `task_plot.html.jinja`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, across, make_axis, upwards
from genarena.leaderboard.drawing import Mark, colour, polyline
from genarena.leaderboard.labels import Box, place_names
from genarena.leaderboard.task_lines import TaskLine, Value
from genarena.leaderboard.tasks import TaskTable

DISTORTION = ("psnr", "mse", "rmse")  # the first of these in the table
PERCEPTION = "fd_domain"
SPREAD, COVERAGE = "spread_skill", "coverage"
ACCURACY, RECALL = "class_accuracy", "recall"
MOST = 24  # letters of a name


@dataclass
class TaskMark(Mark):
    """across: the ends of the interval of x."""

    across: tuple[float, float] | None = None


@dataclass
class TaskPlot:
    """joins: lines through the points of one model, with the number of their colour. rules: positions of the targets, x and y;
    None: there is none."""

    title: str
    note: str
    x: Axis
    y: Axis
    marks: list[TaskMark] = field(default_factory=list)
    joins: list[tuple[int, str]] = field(default_factory=list)
    rules: tuple[float | None, float | None] = (None, None)
    width: float = WIDTH
    height: float = HEIGHT
    frame: tuple[float, float, float, float] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


@dataclass(frozen=True)
class Point:
    line: TaskLine
    x: Value
    y: Value


def perception(table: TaskTable) -> TaskPlot | None:
    """How far restorations are from the truth, against how far their distribution is from that of real images (Blau & Michaeli
    2018, arXiv 1711.06077). None with fewer than two points."""
    key = next((name for name in DISTORTION if name in table.columns), None)
    points = _points(table, key, PERCEPTION)
    if len(points) < 2:
        return None
    better = "right" if table.columns[key].sign < 0 else "left"
    note = f"Down and {better} is better. Hollow: methods without a trained model. A line joins the mean and a draw of one."
    if _of_real(table, PERCEPTION) is not None:
        note += " Dashed: real images, as many."
    return _plot(table, "Perception and distortion", note, points, (key, PERCEPTION))


def calibration(table: TaskTable) -> TaskPlot | None:
    """Spread over skill against coverage; dashed: where a calibrated method is. None without a point."""
    points = _points(table, COVERAGE, SPREAD)
    if not points:
        return None
    note = (
        "Dashed: the values of calibrated draws. Below and left: the draws are too sure. Bars are 95% intervals. "
        "Hollow: methods without a trained model."
    )
    return _plot(table, "Calibration", note, points, (COVERAGE, SPREAD))


def obedience(table: TaskTable) -> TaskPlot | None:
    """How often samples show the label asked for, against how much of the data they reach: more guidance raises the first and
    lowers the second (Ho & Salimans 2022, arXiv 2207.12598). None without a point."""
    points = sorted(_points(table, RECALL, ACCURACY), key=lambda point: _strength(point.line.part))
    if not points:
        return None
    note = (
        "Up and right is better. A line joins the strengths of guidance of one model. Dashed: real images. Hollow: methods "
        "without a trained model."
    )
    return _plot(table, "Accuracy and diversity", note, points, (RECALL, ACCURACY))


def _strength(part: str) -> float:
    """1.5 of the part "s=1.5"; 1 of a part without a number."""
    number = part.rpartition("=")[2]
    return float(number) if number.replace(".", "", 1).isdigit() else 1.0


def _points(table: TaskTable, x: str | None, y: str) -> list[Point]:
    if x not in table.columns or y not in table.columns:
        return []
    points = [Point(line, line.value(x), line.value(y)) for line in table.lines if not line.is_real]
    return [point for point in points if point.x.value is not None and point.y.value is not None]


def _plot(table: TaskTable, title: str, note: str, points: Sequence[Point], keys: tuple[str, str]) -> TaskPlot:
    columns = [table.columns[key] for key in keys]
    real = [_of_real(table, key) for key in keys]
    targets = [known if column.target is None else column.target for column, known in zip(columns, real, strict=True)]
    axes = []
    for column, target, values in zip(columns, targets, ([p.x for p in points], [p.y for p in points]), strict=True):
        known = [value.value for value in values] + ([target] if target is not None else [])
        ends = [end for value in values for end in _ends(value) or ()]
        axes.append(make_axis(column.heading, known, ends, may_be_log=column.sign > 0))
    plot = TaskPlot(title, note, *axes)
    at = across(plot.x), upwards(plot.y)
    plot.rules = tuple(None if target is None else scale(target) for target, scale in zip(targets, at, strict=True))
    for point in points:
        x, y = (scale(value.value) for scale, value in zip(at, (point.x, point.y), strict=True))
        bars = [
            None if (ends := _ends(value)) is None else (scale(ends[0]), scale(ends[1]))
            for scale, value in zip(at, (point.x, point.y), strict=True)
        ]
        said = f"{columns[0].title} {point.x.text}, {columns[1].title} {point.y.text}"
        tip = f"{point.line.label}, {point.line.method}: {said}"
        plot.marks.append(
            TaskMark(point.line, x, y, _colour(point.line), bars[1], _short(point.line), tip, across=bars[0])
        )
    plot.joins = _joins(plot.marks)
    models_first = sorted(range(len(points)), key=lambda index: points[index].line.is_floor)
    place_names(plot.marks, plot.frame, models_first, _bars(plot.marks))
    return plot


def _short(line: TaskLine) -> str:
    """The label; of a long name the beginning, with the whole part."""
    if len(line.label) <= MOST:
        return line.label
    return f"{line.name[: max(4, MOST - 2 - len(line.part))]}… {line.part}".strip()


def _bars(marks: Sequence[TaskMark]) -> list[Box]:
    """Where the intervals are."""
    upright = [(mark.x - 1, min(mark.bar), mark.x + 1, max(mark.bar)) for mark in marks if mark.bar]
    return upright + [(min(mark.across), mark.y - 1, max(mark.across), mark.y + 1) for mark in marks if mark.across]


def _of_real(table: TaskTable, key: str) -> float | None:
    """What real data get."""
    return next((value for line in table.lines if line.is_real and (value := line.value(key).value) is not None), None)


def _ends(value: Value) -> tuple[float, float] | None:
    """The ends of the interval."""
    return None if not value.half_width else (value.value - value.half_width, value.value + value.half_width)


def _colour(line: TaskLine) -> int:
    return colour("baseline") if line.is_floor else colour(line.family)


def _joins(marks: Sequence[TaskMark]) -> list[tuple[int, str]]:
    groups: dict[tuple[str, str], list[TaskMark]] = {}
    for mark in marks:
        owner = str(mark.line.folder or "") or mark.line.name.partition(", ")[0]
        groups.setdefault((owner, "" if mark.line.is_floor else mark.line.method), []).append(mark)
    several = [group for group in groups.values() if len(group) > 1]
    return [(group[0].colour, polyline([(mark.x, mark.y) for mark in group])) for group in several]
