"""The scale on which values of a metric are compared, the better direction, and differences that are too small to matter."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from genarena.leaderboard.lines import Line

# Differences below these do not matter. Two values are equivalent if the interval of their difference lies within the margin.
RATIO = 1.05  # of distances: published FIDs differ by more between two implementations of one model
BITS = 0.01  # bits/dim, the last digit that papers print
NATS = 0.02  # a factor of 1.02 in the density of an example
SHARE = 0.01  # of the range of a bounded metric: one percentage point of a precision


@dataclass(frozen=True)
class Scale:
    """sign: 1 if lower is better, -1 if higher is, 0 if neither. towards_real: nearer to the value of real data is better.

    is_log: compared as ratios. margin: differences below it do not matter, in the units of the scale; relative: in units of the
    value that is compared with.
    """

    sign: int
    towards_real: bool = False
    is_log: bool = False
    margin: float = math.log(RATIO)
    relative: bool = False

    @property
    def has_direction(self) -> bool:
        return self.sign != 0 or self.towards_real

    def badness(self, line: Line, key: str) -> float:
        """What is lower for better lines; infinite for a line without a value, or without one of real data where it counts."""
        cell = line.cells[key]
        if cell.value is None:
            return math.inf
        if self.towards_real:
            return math.inf if cell.real is None else abs(cell.value - cell.real)
        return self.sign * cell.value

    def of(self, values: Sequence[float]) -> list[float]:
        """The values on the scale of comparison."""
        return [math.log(value) for value in values] if self.is_log else list(values)

    def margin_at(self, value: float) -> float:
        return self.margin * abs(value) if self.relative else self.margin

    def shown(self, difference: float) -> float:
        """A difference on this scale as a reader meets it: a ratio for a logarithmic scale."""
        return math.exp(min(max(difference, -700.0), 700.0)) if self.is_log else difference


def scale_of(key: str, lines: Iterable[Line]) -> Scale:
    """The scale of a metric, from its records.

    Distances (lower is better, from 0 to infinity) are compared as ratios, because their spread over seeds grows with them;
    likelihoods and bounded metrics as differences. A distance of zero or less has no logarithm, so then all are compared as
    differences.
    """
    lines = list(lines)
    record = next((run.record(key) for line in lines for run in line.runs if run.value(key) is not None), {})
    sign = {False: 1, True: -1}.get(record.get("higher_is_better"), 0)
    towards_real = record.get("towards_real", False)
    low, high = record.get("range", (None, None))
    if "likelihood" in record:
        return Scale(sign, towards_real, margin=BITS if _is_bits(record) else NATS)
    if low is not None and high is not None:
        return Scale(sign, towards_real, margin=SHARE * (high - low))
    values = [value for line in lines for value in line.cells[key].values]
    if sign == 1 and low == 0 and min(values, default=0.0) > 0:
        return Scale(sign, is_log=True)
    return Scale(sign, towards_real, margin=RATIO - 1.0, relative=True)


def _is_bits(record: dict[str, Any]) -> bool:
    return "bits" in record.get("unit", "")
