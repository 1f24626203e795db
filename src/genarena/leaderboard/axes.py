"""Axes of plots: map values to positions on a canvas of fixed size, and choose ticks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from genarena.leaderboard.numbers import prefixed

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 40.0
CHARACTER = 6.6  # width of a digit
DECADES = 1e30  # largest ratio between the ends of a logarithmic axis
TINY = 1e-200  # a smaller difference counts as 0


@dataclass
class Axis:
    title: str
    low: float
    high: float
    log: bool
    ticks: list[tuple[float, str]] = field(default_factory=list)  # position on the canvas, label

    def scale(self, start: float, end: float) -> Callable[[float], float]:
        """The function from a value to its position, for an axis from `start` to `end` on the canvas.

        Values outside the range of the axis are placed at its nearer end.
        """

        def position(value: float) -> float:
            if self.log:
                share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
            else:
                share = (value - self.low) / (self.high - self.low)
            return round(start + min(1.0, max(0.0, share)) * (end - start), 1)

        return position

    def place_ticks(self, start: float, end: float) -> None:
        """Set `ticks` for an axis from `start` to `end` on the canvas."""
        at = self.scale(start, end)
        values = _log_ticks(self) if self.log else _linear_ticks(self)
        ticks = [(at(value), tick_label(value)) for value in values]
        while start < end and any(_touch(one, other) for one, other in pairwise(ticks)):  # along the lower edge
            ticks = ticks[::2]
        self.ticks = ticks


def _touch(one: tuple[float, str], other: tuple[float, str]) -> bool:
    return other[0] - one[0] < 0.5 * CHARACTER * (len(one[1]) + len(other[1])) + 8


def tick_label(value: float) -> str:
    """A short text for the number at a tick."""
    if value == 0 or 1e-4 <= abs(value) < 1000:
        return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:g}"
    return prefixed(value).replace("e-0", "e-").replace("e+0", "e")


def make_axis(title: str, values: list[float], spread: Iterable[float] = (), may_be_log: bool = True) -> Axis:
    """An axis whose range includes all values, with a margin. spread: ends of intervals, included too.

    The axis is logarithmic if `may_be_log`, all values are positive, and the largest is more than 5 times the smallest. Then
    interval ends below half the smallest value are ignored.
    """
    low, high = min(values), max(values)
    log = may_be_log and low > 0 and high / low > 5
    reach = [value for value in spread if value > 0.5 * low or not log]
    low, high = min([low, *reach]), max([high, *reach])
    if log:
        low = max(low, high / DECADES)
        margin = (high / low) ** 0.06
        return Axis(title, low / margin, high * margin, True)
    around = 0.5 * abs(high) if abs(high) > TINY else 1.0  # used if all values are equal
    margin = 0.06 * (high - low) if high - low > TINY else around
    return Axis(title, low - margin, high + margin, False)


def across(axis: Axis, room: float = 0.0) -> Callable[[float], float]:
    """Place an axis and its ticks along the lower edge, `room` shorter at the right. Returns its `scale` function."""
    axis.place_ticks(LEFT, WIDTH - RIGHT - room)
    return axis.scale(LEFT, WIDTH - RIGHT - room)


def upwards(axis: Axis) -> Callable[[float], float]:
    """Place an axis and its ticks along the left edge. Returns its `scale` function."""
    axis.place_ticks(HEIGHT - BOTTOM, TOP)
    return axis.scale(HEIGHT - BOTTOM, TOP)


def _linear_ticks(axis: Axis) -> list[float]:
    """About five round numbers in the range of the axis."""
    rough = (axis.high - axis.low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10, 20) if power * m >= rough)
    return [round(i * step, 12) for i in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)]


def _log_ticks(axis: Axis) -> list[float]:
    """Three to seven round numbers: as many of 1, 2, ... 9 times powers of ten as there is room for.

    Where the axis is too short for three of them, the ticks are those of a linear axis.
    """
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    inside = [
        [m * 10.0**p for p in powers for m in marks if axis.low <= m * 10.0**p <= axis.high]
        for marks in (range(1, 10), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
    ]
    ticks = next((ticks for ticks in inside if len(ticks) <= 7), inside[-1])
    if len(ticks) < 3:
        return [value for value in _linear_ticks(axis) if value > 0]
    return ticks[:: max(1, math.ceil(len(ticks) / 7))]
