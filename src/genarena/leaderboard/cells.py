"""A cell of a table: a number of the runs (seeds) of one line, with its uncertainty.

One seed: the value and its standard error, of the samples and the test examples. Two seeds: both values, no interval. Three and
more: their mean and a 95% interval, which joins the spread over training seeds with the standard error, because all seeds are
tested on the same examples. The interval is the line's own: it does not change with the other lines of the table.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genarena.leaderboard.numbers import decimals, fixed, fixed_error, prefixed, rounded, with_interval
from genarena.leaderboard.runs import COSTS, Run
from genarena.statistics.intervals import joined_half_width, mean, sampling_half_width

LIKELIHOOD_SIGNS = {"exact": "=", "lower_bound": "≤", "estimate": "~", "none": ""}
MIN_SEEDS = 3  # with fewer there is neither an interval over seeds nor a rank


@dataclass(frozen=True)
class Resampling:
    """Mean over runs and sampling seeds, and half the 95% interval from sampling alone."""

    value: float
    half_width: float
    num_seeds: int  # largest number of sampling seeds of a run

    @property
    def text(self) -> str:
        return f"{with_interval(self.value, self.half_width)} over {self.num_seeds} sampling seeds"

    @property
    def short(self) -> str:
        return f"sampling ± {rounded(self.half_width)}"


@dataclass(frozen=True)
class Cell:
    """The mean over seeds, or the reason why there is no value.

    values: of each seed that has the metric. half_width: half the 95% interval, from three seeds on.
    standard_error: root mean square of those of the seeds: samples and test examples, for the trained weights.
    sign: sign of a likelihood (=, ≤, ~). range: smallest and largest possible value; None: no limit.
    real: the value of real data, mean over seeds. runs: ids of the runs.
    unmeasured_seeds: number of runs in the line without this metric; for metrics outside the protocol, such as bits_on_disk.
    decimals: of the whole column.
    """

    value: float | None
    values: tuple[float, ...] = ()
    half_width: float | None = None
    standard_error: float | None = None
    sign: str = ""
    reason: str = ""
    n: int | None = None
    range: tuple[float | None, float | None] = (None, None)
    real: float | None = None
    runs: tuple[str, ...] = ()
    unmeasured_seeds: int = 0
    is_cost: bool = False
    resampling: Resampling | None = None
    decimals: int | None = None

    @property
    def num_seeds(self) -> int:
        return len(self.values)

    @property
    def error(self) -> float | None:
        """What the cell shows behind ±: half the interval, or the standard error of a single seed."""
        return self.half_width if self.num_seeds != 1 else self.standard_error

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of the 95% interval, inside the range of the metric; None with fewer than three seeds."""
        if self.value is None or self.half_width is None:
            return None
        low, high = self.range
        least, most = self.value - self.half_width, self.value + self.half_width
        return least if low is None else max(least, low), most if high is None else min(most, high)

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.is_cost:
            return prefixed(self.value)
        seeds = (
            f" ({self.num_seeds} of {self.num_seeds + self.unmeasured_seeds} seeds)" if self.unmeasured_seeds else ""
        )
        return f"{self.sign}{self._shown()}{seeds}"

    @property
    def over(self) -> str:
        """What the number behind ± holds, in words; empty where there is none."""
        if self.is_cost or self.error is None:
            return ""
        if self.num_seeds == 1:
            return "standard error of samples and test examples; one training seed"
        also = "" if self.standard_error is None else ", samples and test examples"
        return f"95% interval over {self.num_seeds} training seeds{also}"

    def _shown(self) -> str:
        if self.num_seeds == 2:
            return ", ".join(fixed(value, self.decimals) for value in self.values)
        value = fixed(self.value, self.decimals)
        if self.error is None:
            return value
        if self.num_seeds == 1:
            return f"{value} ± {fixed_error(self.error, self.decimals)} s.e."
        least, most = self.interval
        if not math.isclose(most - least, 2.0 * self.half_width, rel_tol=1e-6):  # it ends where the range does
            return f"{value} [{fixed(least, self.decimals)}, {fixed(most, self.decimals)}]"
        return f"{value} ± {fixed_error(self.half_width, self.decimals)}"


def column_of_cells(name: str, lines: Iterable[Sequence[Run]]) -> list[Cell]:
    """The cells of a metric or a cost, one for the runs of each line, all with the same number of decimals."""
    cells = [cell(name, runs) for runs in lines]
    known = [each for each in cells if each.value is not None]
    steps = [_step(each) for each in known]
    places = decimals(
        [value for each in known for value in each.values],
        [each.error for each in known if each.error],
        min((step for step in steps if step), default=None),
    )
    return [replace(each, decimals=places) for each in cells]


def cell(name: str, runs: Sequence[Run]) -> Cell:
    """The cell of a metric or a cost. It has no value if that of any run is null: without this run the mean would be biased."""
    asked = [run for run in runs if run.has(name)]
    records = [run.record(name) for run in asked or runs]
    nulls = [record for record in records if record.get("value") is None]
    if nulls:
        return Cell(None, reason=nulls[0].get("reason", "not measured"))
    if len({record.get("n") for record in records}) > 1:
        return Cell(None, reason="measured on another number of examples for each seed")
    values = tuple(record["value"] for record in records)
    errors = [abs(error) for error in _numbers(records, "standard_error")]
    low, high = records[0].get("range", (None, None))
    return Cell(
        mean(values),
        values,
        joined_half_width(values, errors) if len(values) >= MIN_SEEDS else None,
        math.hypot(*errors) / math.sqrt(len(errors)) if errors else None,
        LIKELIHOOD_SIGNS.get(records[0].get("likelihood", "none"), ""),  # of this number; that of the model may differ
        n=records[0].get("n"),
        range=(low, high),
        real=mean(found) if (found := _numbers(records, "real")) else None,
        runs=tuple(str(run.row.get("run", run.folder.name)) for run in asked),
        unmeasured_seeds=len(runs) - len(asked),
        is_cost=name in COSTS,
        resampling=_resampling(name, asked),
    )


def _numbers(records: list[dict[str, Any]], key: str) -> list[float]:
    """The entry of all records; empty where one lacks it."""
    found = [record[key] for record in records if record.get(key) is not None]
    return found if len(found) == len(records) else []


def _step(cell: Cell) -> float | None:
    """The smallest difference of a share of n examples, where both ends of the range are known."""
    low, high = cell.range
    return None if low is None or high is None or not cell.n or high <= low else (high - low) / cell.n


def _resampling(name: str, runs: list[Run]) -> Resampling | None:
    groups = []
    for run in runs:
        again = [metrics.get(name, {}).get("value") for metrics in run.resampled.values()]
        groups.append([run.value(name), *(value for value in again if value is not None)])
    half_width = sampling_half_width(groups)
    # Not scored again, or the same value for every sampling seed.
    if half_width is None or half_width <= 1e-12 * abs(groups[0][0]):
        return None
    return Resampling(mean([mean(group) for group in groups]), half_width, max(len(group) for group in groups))
