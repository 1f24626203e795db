"""A line of a table, which has the runs (seeds) of one model with the same overrides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from genarena.leaderboard.cells import Cell, column_of_cells
from genarena.leaderboard.runs import Run

COPY_CHECKS = ("nearest_neighbour_ratio", "authpct", "c_t")  # metrics whose records have an alarm
SPEEDS = ("sampling_seconds", "synthesis_khz")  # metrics that look at no sample


@dataclass(frozen=True)
class Gap:
    """The difference to the best line, with the ends of its simultaneous 95% interval; a ratio on the logarithmic scale.

    equivalent: the whole interval lies within the margin below which a difference is too small to matter.
    """

    to: str
    value: float
    low: float
    high: float
    is_ratio: bool
    equivalent: bool


@dataclass
class Line:
    """The seeds of one model under one configuration.

    apart: in what it differs from the other lines of the same name; else empty.
    unfinished: seeds without a row for another reason than divergence: stopped, killed or broken.
    twins: seed that does not count, because its run is the same as that of another -> this seed.
    unchecked: why it is not known whether the samples are copies, though it is of other lines; else empty.
    num_repeats: finished runs that a newer run of the same seed replaced.
    place: the best rank that the line may have; None: not ranked. rank: the printed rank. rank_note: the reason for the rank.
    gap: the difference to the best line of the table; None for lines without a rank.
    """

    runs: list[Run]
    apart: str = ""
    diverged: dict[int, str] = field(default_factory=dict)  # seed -> reason
    unfinished: dict[int, str] = field(default_factory=dict)  # seed -> reason
    twins: dict[int, int] = field(default_factory=dict)
    unchecked: str = ""
    num_repeats: int = 0
    cells: dict[str, Cell] = field(default_factory=dict)
    place: int | None = None
    rank: str = "–"
    rank_note: str = ""
    gap: Gap | None = None

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
    def alarm(self) -> str:
        """Why the samples are taken to be copies of training examples; empty without such a finding."""
        records = (record for run in self.runs for record in run.metrics.values())
        return next((record["alarm"] for record in records if record.get("alarm")), "")

    @property
    def alarm_of_any_column(self) -> str:
        """`alarm`, also under a protocol that no column of the table has."""
        records = (record for run in self.runs for record in run.row["metrics"].values())
        return self.alarm or next((record["alarm"] for record in records if record.get("alarm")), "")

    @property
    def starved(self) -> str:
        """Why the machine was not free, under a budget in minutes; empty where it was, or where minutes do not count."""
        timed = (run.row for run in self.runs if run.row.get("budget", {}).get("minutes") is not None)
        return next((row["machine"]["starved"] for row in timed if row.get("machine", {}).get("starved")), "")

    @property
    def competes(self) -> bool:
        return not (self.is_reference or self.imported or self.diverged or self.alarm or self.unchecked or self.starved)

    @property
    def device(self) -> str:
        return ", ".join(sorted({run.device for run in self.runs} - {""}))

    @property
    def num_seeds(self) -> str:
        facts = [f"{len(self.diverged)} diverged"] if self.diverged else []
        facts += [f"{len(self.unfinished)} unfinished"] if self.unfinished else []
        facts += [f"seed {seed} is the same run as {other}" for seed, other in self.twins.items()]
        facts += [f"re-run {self.num_repeats}x"] if self.num_repeats else []
        return f"{len(self.runs)} ({', '.join(facts)})" if facts else str(len(self.runs))


def fill(lines: Sequence[Line], names: Iterable[str]) -> None:
    """Make the cells of these metrics and costs in all lines."""
    names = list(names)
    for name in names:
        for line, made in zip(lines, column_of_cells(name, [line.runs for line in lines]), strict=True):
            line.cells[name] = made
    _mark_unchecked(lines, [name for name in names if name in COPY_CHECKS])


def _mark_unchecked(lines: Sequence[Line], checks: Sequence[str]) -> None:
    """Mark the lines whose samples were scored, but not looked through for copies as those of half of the others were."""
    scored = [
        line for line in lines if line.competes and any(_is_of_samples(name, cell) for name, cell in line.cells.items())
    ]
    usual = [name for name in checks if 2 * sum(_looked(line, name) for line in scored) >= len(scored)]
    for line in scored:
        if missing := [name for name in usual if not _looked(line, name)]:
            line.unchecked = f"{', '.join(missing)} was not measured as for other lines: the samples may be copies"


def _is_of_samples(name: str, cell: Cell) -> bool:
    return cell.value is not None and not cell.is_cost and not cell.sign and name not in SPEEDS


def _looked(line: Line, check: str) -> bool:
    """Whether the metric was asked for and did not break in any seed; where it has no value, it says why."""
    return all(run.has(check) and not run.record(check).get("failed") for run in line.runs)
