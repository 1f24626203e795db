"""Plots of curves: validation during training, the likelihood bound against k, and the losses of one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, across, make_axis, upwards
from genarena.leaderboard.curves import Curve
from genarena.leaderboard.drawing import FONT, MANY, Plot, Trace, colour, families, polyline, short_name
from genarena.leaderboard.lines import Line
from genarena.leaderboard.numbers import number
from genarena.leaderboard.tables import Table

ROOM = 90.0  # space right of the curves, for their labels


@dataclass(frozen=True)
class Labels:
    """The texts of a plot. may_be_log: whether its horizontal axis may be logarithmic."""

    title: str
    note: str
    x: str
    y: str
    may_be_log: bool = True


VALIDATION = Labels(
    "Validation likelihood in training",
    "One run of each model, the first seed.",
    "share of the budget",
    "validation bits/dim",
    may_be_log=False,
)
BOUNDS = Labels(
    "Likelihood bound against k",
    "The importance-weighted bound tightens with k samples.",
    "importance samples k",
    "bound on the NLL (nats)",
)


def validation(table: Table, curves: dict[str, dict[str, Curve]]) -> Plot | None:
    """Validation bits/dim during training, comparable between models; None if no line has it."""
    found = [(line, curves.get(line.name, {}).get("val/bits_per_dim", [])) for line in table.lines]
    return _plot(table, [(line, curve) for line, curve in found if len(curve) > 1], VALIDATION)


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
    room = ROOM if len(chosen) <= MANY else 0.0
    plot.frame = (LEFT, TOP, WIDTH - RIGHT - room, HEIGHT - BOTTOM)
    at_x, at_y, known = across(x_axis, room), upwards(y_axis), families(table)
    for line, curve in chosen:
        points = [(at_x(x), at_y(min(y, y_axis.high))) for x, y in curve]
        name, shade = short_name(line, table)[:16], colour(line.family, known)
        plot.traces.append(Trace(line, polyline(points), shade, name, points[-1]))
    if room:
        _name(plot.traces)
    return plot


def _name(traces: Sequence[Trace]) -> None:
    """Place labels right of the ends of the curves, without overlap. All are moved up if the lowest is outside the frame."""
    height, below = FONT + 2, TOP
    for trace in sorted(traces, key=lambda trace: trace.end[1]):
        trace.text = max(trace.end[1] + 4, below + height)
        below = trace.text
    excess = max(0.0, below - (HEIGHT - BOTTOM))
    for trace in traces:
        trace.text -= excess


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
