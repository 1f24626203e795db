"""A line of a table, which has the runs (seeds) of one model with the same overrides, and its cells."""

from dataclasses import dataclass, field

from genarena.leaderboard.numbers import number, prefixed, rounded, with_interval
from genarena.leaderboard.runs import COSTS, Run
from genarena.statistics.intervals import mean, sampling_half_width, t_half_width

LIKELIHOOD_SIGNS = {"exact": "=", "lower_bound": "≤", "estimate": "~", "none": ""}


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
    """The mean over seeds and half the width of its 95% interval (None for one seed), or the reason why there is no value.

    sign: sign of a likelihood (=, ≤, ~).
    unmeasured_seeds: number of runs in the line without this metric; for metrics outside the protocol, such as bits_on_disk.
    """

    value: float | None
    half_width: float | None = None
    sign: str = ""
    reason: str = ""
    num_seeds: int = 0
    unmeasured_seeds: int = 0
    is_cost: bool = False
    resampling: Resampling | None = None

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.is_cost:
            return prefixed(self.value)
        mean = number(self.value) if self.half_width is None else with_interval(self.value, self.half_width)
        seeds = (
            f" ({self.num_seeds} of {self.num_seeds + self.unmeasured_seeds} seeds)" if self.unmeasured_seeds else ""
        )
        return f"{self.sign}{mean}{seeds}"


@dataclass
class Line:
    """The seeds of one model under one configuration.

    apart: in what it differs from the other lines of the same name; else empty.
    num_repeats: finished runs that a newer run of the same seed replaced.
    place: the number of the rank; None: not ranked. rank: the printed rank. rank_note: the reason for the rank.
    """

    runs: list[Run]
    apart: str = ""
    diverged: dict[int, str] = field(default_factory=dict)  # seed -> reason
    num_repeats: int = 0
    cells: dict[str, Cell] = field(default_factory=dict)
    place: int | None = None
    rank: str = "–"
    rank_note: str = ""

    @property
    def model(self) -> str:
        return self.runs[0].model

    @property
    def family(self) -> str:
        return self.runs[0].row["family"]

    @property
    def overrides(self) -> tuple[str, ...]:
        return self.runs[0].overrides

    @property
    def imported(self) -> bool:
        return self.runs[0].imported

    @property
    def name(self) -> str:
        return self.runs[0].name + (" (imported)" if self.imported else "") + (f" [{self.apart}]" if self.apart else "")

    @property
    def seeds(self) -> list[int]:
        return sorted(run.seed for run in self.runs)

    def values(self, key: str) -> list[float | None]:
        """The values of a metric or a cost, one for each run that has computed it."""
        return [run.value(key) for run in self.runs if run.has(key)]

    @property
    def is_reference(self) -> bool:
        """Whether the model is a baseline: a lower or upper reference for the table."""
        return self.family == "baseline"

    @property
    def competes(self) -> bool:
        return not (self.is_reference or self.imported or self.diverged)

    @property
    def device(self) -> str:
        return ", ".join(sorted({run.device for run in self.runs} - {""}))

    @property
    def num_seeds(self) -> str:
        facts = [f"{len(self.diverged)} diverged"] if self.diverged else []
        facts += [f"re-run {self.num_repeats}x"] if self.num_repeats else []
        return f"{len(self.runs)} ({', '.join(facts)})" if facts else str(len(self.runs))


def cell(name: str, line: Line) -> Cell:
    """The cell of a metric or a cost. It has no value if that of any run is null: without this run the mean would be biased."""
    asked = [run for run in line.runs if run.has(name)]
    records = [run.record(name) for run in asked or line.runs]
    nulls = [record for record in records if record.get("value") is None]
    if nulls:
        return Cell(None, reason=nulls[0].get("reason", "not measured"))
    if len({record.get("n") for record in records}) > 1:
        return Cell(None, reason="measured on another number of examples for each seed")
    values = [record["value"] for record in records]
    kind = records[0].get("likelihood", "none")  # the kind of this number; that of the model may differ
    half_width = t_half_width(values) if len(values) > 1 else None
    return Cell(
        mean(values),
        half_width,
        LIKELIHOOD_SIGNS.get(kind, ""),
        num_seeds=len(values),
        unmeasured_seeds=len(line.runs) - len(asked),
        is_cost=name in COSTS,
        resampling=_resampling(name, asked),
    )


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
