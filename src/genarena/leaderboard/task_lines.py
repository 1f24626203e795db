"""A line of a table of a task: a model used in one way, or a floor; and its values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena.leaderboard.cells import MIN_SEEDS
from genarena.leaderboard.numbers import number, with_interval
from genarena.leaderboard.runs import Run, anchor
from genarena.statistics.intervals import mean, t_half_width

Record = dict[str, Any]
KINDS = {  # of a method, as the page explains them
    "exact": "draws from the posterior of the model, or its mean, without approximation",
    "asymptotic": "exact in the limit of many steps or samples",
    "heuristic": "an approximation that stays one, however long it runs",
    "floor": "a method without a trained model",
    "real": "real data as they are, what a perfect method would get: never the best, and without a rank",
}


@dataclass(frozen=True)
class Value:
    """A cell. over: what the interval is over. both: the values of two seeds, which make no interval."""

    value: float | None
    half_width: float | None = None
    over: str = ""
    both: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        if self.value is None:
            return "–"
        if self.both:
            return ", ".join(map(number, self.both))
        return number(self.value) if self.half_width is None else with_interval(self.value, self.half_width)


@dataclass(frozen=True)
class TaskLine:
    """A model used in one way (`part`: mean, draw), one set of metrics for each seed; or a floor.

    kind: exact, asymptotic, heuristic, floor or real. names: of the line in the row of each run, where they differ.
    counted: what `n` of a record counts, where the record does not say.
    """

    name: str
    part: str
    method: str
    kind: str
    metrics: list[dict[str, Record]]
    runs: list[Run]
    names: tuple[str, ...] = ()
    counted: str = "images"

    @property
    def is_floor(self) -> bool:
        """Whether it needs no trained model: a floor, or real data."""
        return not self.runs

    @property
    def is_real(self) -> bool:
        return self.kind == "real"

    is_reference = is_floor  # as plots call it

    @property
    def family(self) -> str:
        return "" if self.is_floor else self.runs[0].row.get("family", "")

    @property
    def label(self) -> str:
        """The name with the part, for plots and lists."""
        return " ".join(filter(None, (self.name, self.part)))

    @property
    def folder(self) -> Path | None:
        """That of the pictures, those of the first seed; lines of one run share them. None for a floor."""
        return self.runs[0].folder if self.runs else None

    @property
    def pictures(self) -> dict[str, dict[str, Any]]:
        """File name -> what the picture shows, as the row says."""
        return self.runs[0].row["task"].get("pictures", {}) if self.runs else {}

    @property
    def remark(self) -> tuple[str, str]:
        """What a reader must know of the line, in short, and why; that of the first seed that has one, with the number of
        such seeds where others have none. Empty: nothing."""
        names = self.names or (self.part,) * len(self.runs)
        lines = [run.row["task"]["lines"].get(name, {}) for name, run in zip(names, self.runs, strict=True)]
        texts = [line["remark"] for line in lines if line.get("remark")]
        short, _, why = next(iter(texts), "").partition(": ")
        return short + f", {len(texts)} of {len(lines)} seeds" * (0 < len(texts) < len(lines)), why

    @property
    def anchor(self) -> str:
        """The HTML id of the section of the first run."""
        row = self.runs[0].row
        return anchor(row["data"]["id"], row["model"], str(row.get("run", self.runs[0].folder.parents[1].name)))

    def value(self, key: str) -> Value:
        """The mean over seeds. It has no value if one seed has none."""
        records = [metrics.get(key, {}) for metrics in self.metrics]
        values = [record.get("value") for record in records]
        if None in values:
            return Value(None, over=next((each["reason"] for each in records if each.get("reason")), "not measured"))
        if len(values) >= MIN_SEEDS:
            differ = f" ({', '.join(self.names)})" if self.names else ""
            return Value(mean(values), t_half_width(values), f"{len(values)} training seeds{differ}")
        if len(values) > 1:
            return Value(mean(values), both=tuple(values))
        gap = records[0].get("margin") if records else None
        margin = (
            f"; {with_interval(gap['value'], gap['ci95_half_width'])} over {gap['over']}, one by one" if gap else ""
        )
        counted = f"{records[0].get('n', 0):,} {records[0].get('counted', self.counted)}"
        return Value(values[0], records[0].get("ci95_half_width"), counted + margin)
