"""Plots of curves: validation during training, the likelihood bound against k, and the losses of one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, across, make_axis, upwards
from genarena.leaderboard.curves import Curve
from genarena.leaderboard.drawing import FONT, MANY, Plot, Trace, colour, polyline, short_name
from genarena.leaderboard.labels import place_names
from genarena.leaderboard.lines import Line
from genarena.leaderboard.numbers import number
from genarena.leaderboard.ranking import LIKELIHOODS
from genarena.leaderboard.runs import Run, key_of
from genarena.leaderboard.tables import Table, of_sound

ROOM = 90.0  # space right of the curves, for their labels
WORK = {
    "examples_seen": "training examples",
    "train_flops": "operations of training (FLOP)",
}  # cost -> title of the axis
TITLES = {"bits_per_dim": "bits/dim", "fd_domain": "FD domain"}  # of metrics that are in no column
APART = 5.0  # ratio of the longest to the shortest curve above which examples are drawn on a logarithm
FIRST = ("val/fd_domain", "val/bits_per_dim")  # these are drawn first


@dataclass(frozen=True)
class Labels:
    """The texts of a plot. may_be_log: whether its horizontal axis may be logarithmic."""

    title: str
    note: str
    x: str
    y: str
    may_be_log: bool = True


BOUNDS = Labels(
    "Likelihood bound against k",
    "The importance-weighted bound tightens with k samples.",
    "importance samples k",
    "bound on the NLL (nats)",
)


def validation(table: Table, curves: dict[Path, dict[str, Curve]]) -> list[Plot]:
    """Each validation metric over examples and over operations, a curve per run; losses are left out: they do not compare.
    Likelihoods under a condition have plots of their own, as they have columns.

    curves: run folder -> key -> [(share of the training steps, value)].
    """
    runs = [run for line in table.lines for run in line.runs]
    found = {(key, _given(key, run)): run for run in runs for key in curves.get(run.folder, {})}
    comparable = [each for each in found if each[0] in FIRST or _column(*each) in table.column]
    return [
        plot
        for key, given in sorted(
            comparable, key=lambda each: (FIRST.index(each[0]) if each[0] in FIRST else len(FIRST), *each)
        )
        for cost in WORK
        if (plot := _validation(table, curves, key, given, _title(table, key, given, found[key, given]), cost))
        is not None
    ]


def _given(key: str, run: Run) -> str:
    """The condition of a validation likelihood, empty where there is none."""
    settings = (run.row.get("line") or {}).get("settings") or {}
    return settings.get("data.condition") or "" if key.removeprefix("val/") in LIKELIHOODS else ""


def _column(key: str, given: str) -> str:
    return key_of(key.removeprefix("val/"), {"given": given})


def _title(table: Table, key: str, given: str, run: Run) -> str:
    """As in the head of the metric's column, also where the table has none."""
    name, column = key.removeprefix("val/"), table.column.get(_column(key, given))
    title = column.title if column else TITLES.get(name, name) + (f" | {given}" if given else "")
    return f"validation {of_sound(title, run)}"


def _validation(
    table: Table, curves: dict[Path, dict[str, Curve]], key: str, given: str, title: str, cost: str
) -> Plot | None:
    found = []
    for line in table.lines:
        for run in line.runs:
            curve, work = curves.get(run.folder, {}).get(key, []), run.value(cost)
            if work and len(curve) > 1 and _given(key, run) == given:
                found.append((line, [(share * work, value) for share, value in curve if share > 0]))
    what = "examples" if cost == "examples_seen" else "operations"
    note = "Every run has a curve; seeds of one model share a colour."
    ends = [curve[-1][0] for line, curve in found if not line.is_reference]
    is_log = cost == "train_flops" or (len(ends) > 1 and max(ends) > APART * min(ends))
    labels = Labels(f"{title[0].upper()}{title[1:]} over {what}", note, WORK[cost], title, is_log)
    return _plot(table, found, labels)


def bounds(table: Table) -> Plot | None:
    """The importance-weighted bound of each model that has it, against k; None if no model has it."""
    found = [(line, _bound(line.runs[0].record("iw_bounds"))) for line in table.lines]
    return _plot(table, [(line, curve) for line, curve in found if len(curve) > 1], BOUNDS)


def _bound(record: dict) -> Curve:
    numbers, nats = record.get("k"), record.get("nats", [])
    if not isinstance(numbers, list):
        return []
    pairs = zip(numbers, nats, strict=False)
    return [(float(k), float(value)) for k, value in pairs if k and value is not None and math.isfinite(value)]


def _plot(table: Table, chosen: Sequence[tuple[Line, Curve]], labels: Labels) -> Plot | None:
    if not chosen:
        return None
    x_axis = make_axis(labels.x, [x for _, curve in chosen for x, _ in curve], may_be_log=labels.may_be_log)
    values = sorted(y for _, curve in chosen for _, y in curve)
    last = max(curve[-1][1] for _, curve in chosen)
    high = max(last, values[int(0.95 * (len(values) - 1))])  # large first values must not flatten all curves
    y_axis = make_axis(labels.y, [min(y, high) for y in values])
    plot = Plot(labels.title, labels.note, x_axis, y_axis)
    lines = {id(line): line for line, _ in chosen}
    room = ROOM if len(lines) <= MANY else 0.0
    plot.frame = (LEFT, TOP, WIDTH - RIGHT - room, HEIGHT - BOTTOM)
    at_x, at_y = across(x_axis, room), upwards(y_axis)
    for line in lines.values():
        curves = [[(at_x(x), at_y(min(y, y_axis.high))) for x, y in curve] for each, curve in chosen if each is line]
        name, shade = short_name(line, table, 18), colour(line.family)
        plot.traces.append(Trace(line, [polyline(curve) for curve in curves], shade, name, *curves[0][-1]))
    _name(plot) if room else None
    return plot


def _name(plot: Plot) -> None:
    """Place a label for each line: in a column where all curves end at the right edge, else near the ends."""
    right = max(trace.x for trace in plot.traces)
    if min(trace.x for trace in plot.traces) < right - 3:
        place_names(plot.traces, (plot.frame[0], plot.frame[1], plot.frame[2] + ROOM, plot.frame[3]))
        return
    height, below = FONT + 2, TOP
    ordered = sorted(plot.traces, key=lambda trace: trace.y)
    places = []
    for trace in ordered:
        below = max(trace.y + 4, below + height)
        places.append(below)
    excess = max(0.0, below - (HEIGHT - BOTTOM))  # all are moved up if the lowest is outside the frame
    for trace, place in zip(ordered, places, strict=True):
        trace.text = (right + 5, place - excess, "start")


def sparkline(curves: dict[str, Curve]) -> list[tuple[str, str, str, str]]:
    """(key, points in 0..100 x 0..30, first value, last value) for each loss of a run, each with its own scale."""
    drawn = []
    for key, curve in curves.items():
        if len(curve) < 2 or not key.endswith("loss"):
            continue
        values = sorted(y for _, y in curve)
        low, high = values[0], max(values[int(0.95 * (len(values) - 1))], curve[-1][1])
        height = (high - low) or 1.0
        points = [(100.0 * x, 29.0 - 28.0 * (min(y, high) - low) / height) for x, y in curve]
        drawn.append((key, polyline(points), number(curve[0][1]), number(curve[-1][1])))
    return drawn
