"""How far the metrics can be trusted: which faults they notice, and which published numbers were reached.

`scripts/disturb.py` writes the curves, `scripts/reproduce.py` the numbers. Both are read from below the folder of runs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from genarena.errors import Untrusted, printable
from genarena.files import foreign
from genarena.leaderboard import aspects
from genarena.leaderboard.axes import tick_label
from genarena.leaderboard.drawing import polyline
from genarena.leaderboard.numbers import number
from genarena.leaderboard.runs import anchor, found
from genarena.runs import schema

HERE = Path(__file__).parent
CURVES, NUMBERS = "disturbances.json", "reproduced.json"
WIDTH, HEIGHT, MARGIN = 116.0, 54.0, 5.0  # of a small plot
RISES = {1: "rises", -1: "falls"}
VERDICTS = {  # in the file -> class of the cell, words; {} is the direction that is expected
    "as it should": ("good", "{} as it should"),
    "not monotone": ("uneven", "uneven, {} in all"),
    "blind": ("blind", "blind: does not {}"),
    "-": ("", "nothing expected"),
}
Content = TypeVar("Content")


@dataclass(frozen=True)
class Small:
    """One curve of a metric over the strength of a disturbance.

    singles: one line for each random split; mean: of their mean; dots: its points. kind, verdict: whether it changes as it
    should. ends: the value of undisturbed images, and that at the largest strength.
    """

    kind: str
    verdict: str
    ends: str
    mean: str
    dots: list[tuple[float, float]]
    singles: list[str]
    tip: str


@dataclass(frozen=True)
class Row:
    """The curves of one metric, all on the same scale from `low` to `high`. num_noticed: of the num_expected that it should."""

    metric: str
    meaning: str
    num_noticed: int
    num_expected: int
    low: str
    high: str
    cells: list[Small | None]


@dataclass(frozen=True)
class Suite:
    """The curves on one data set, in one space of features. heads: disturbances, what they do, largest strength."""

    about: dict[str, Any]
    heads: list[tuple[str, str, str]]
    rows: list[Row]

    @property
    def anchor(self) -> str:
        return anchor("trust", self.about["data"], str(self.about["space"]), self.about["command"])


@dataclass(frozen=True)
class Reproduced:
    """A published number beside the one that was measured here. folder: of the run."""

    content: dict[str, Any]
    folder: Path

    @property
    def value(self) -> str:
        record = self.content["record"]
        return f"{record.get('sign', '').removeprefix('=')}{number(record['value'])}"


@dataclass(frozen=True)
class Trust:
    """What is known of the metrics. broken: a line of text for each file that was left out."""

    suites: list[Suite] = field(default_factory=list)
    numbers: list[Reproduced] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def find_trust(runs_dir: Path) -> Trust:
    """All readable disturbance suites and reproduced numbers below a folder."""
    trust = Trust()
    trust.suites.extend(_readable(found(runs_dir, CURVES), _suite, trust.broken))
    trust.numbers.extend(_readable(found(runs_dir, NUMBERS), _reproduced, trust.broken))
    trust.numbers.sort(key=lambda each: each.content["experiment"])
    return trust


def _readable(paths: Iterable[Path], read: Callable[[Path], Content], broken: list[str]) -> Iterable[Content]:
    for path in paths:
        try:
            yield read(path)
        except Untrusted as error:
            broken.append(str(error))
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError, IndexError) as error:
            broken.append(printable(f"{path} cannot be read: {type(error).__name__}: {error}"))


def _reproduced(path: Path) -> Reproduced:
    content = foreign.parse_json(foreign.read(path))
    schema.check(content, HERE / "reproduced.schema.json")
    return Reproduced(content, path.parent)


# -- curves ------------------------------------------------------------------------------------------------------------


def _suite(path: Path) -> Suite:
    content = foreign.parse_json(foreign.read(path))
    schema.check(content, HERE / "disturbances.schema.json")
    curves = {(curve["metric"], curve["disturbance"]): curve for curve in content["curves"]}
    names = list(dict.fromkeys(name for _, name in curves))
    largest = {
        name: max(curve["strengths"][-1] for (_, each), curve in curves.items() if each == name) for name in names
    }
    heads = [(name, content["disturbances"].get(name, ""), tick_label(largest[name])) for name in names]
    metrics = dict.fromkeys(metric for metric, _ in curves)
    rows = [_row(metric, [curves.get((metric, name)) for name in names]) for metric in metrics]
    return Suite(content, heads, sorted(rows, key=lambda row: (-row.num_noticed, row.metric)))


def _row(metric: str, curves: Sequence[dict[str, Any] | None]) -> Row:
    there = [curve for curve in curves if curve is not None]
    values = [value for curve in there for single in [curve["mean"], *curve["values"]] for value in single]
    low, high = min(values), max(values)
    expected = [curve for curve in there if curve["expected"]]
    noticed = sum(curve["verdict"] in ("as it should", "not monotone") for curve in expected)
    return Row(
        metric,
        aspects.brief(aspects.meaning_of(metric)),
        noticed,
        len(expected),
        short(low),
        short(high),
        [curve and _small(curve, low, high) for curve in curves],
    )


def short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _small(curve: dict[str, Any], low: float, high: float) -> Small:
    strengths = curve["strengths"]
    if not strengths[-1] > 0 or any(len(single) != len(strengths) for single in (curve["mean"], *curve["values"])):
        raise ValueError(f"{curve['metric']} under {curve['disturbance']} has not one value per strength")

    def points(values: Sequence[float]) -> list[tuple[float, float]]:
        shares = [(value - low) / (high - low) if high > low else 0.5 for value in values]
        return [
            (
                round(MARGIN + (WIDTH - 2 * MARGIN) * strength / strengths[-1], 1),
                round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share, 1),
            )
            for strength, share in zip(strengths, shares, strict=True)
        ]

    kind, words = VERDICTS[curve["verdict"]]
    mean = points(curve["mean"])
    verb = RISES.get(curve["expected"], "")
    return Small(
        kind,
        words.format(verb.removesuffix("s") if kind == "blind" else verb),
        f"{short(curve['mean'][0])} → {short(curve['mean'][-1])}",
        polyline(mean),
        mean,
        [polyline(points(single)) for single in curve["values"]] if len(curve["values"]) > 1 else [],
        ", ".join(f"{tick_label(s)}: {short(v)}" for s, v in zip(strengths, curve["mean"], strict=True)),
    )
