"""Hyperparameter searches on the page: the best trials, the importance of the options, and a line for each trial.

They are read from `trials.json`. Their values are from the validation split and are never shown in a table of results.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genarena.errors import Untrusted, printable
from genarena.files import foreign
from genarena.leaderboard.numbers import number
from genarena.leaderboard.runs import TRIALS, anchor, found
from genarena.runs import schema

SCHEMA = Path(__file__).parent / "trials.schema.json"
LEFT, TOP, GAP, HEIGHT, BOTTOM = 60.0, 14.0, 130.0, 290.0, 40.0  # sizes in the plot of trials
BAR, LABEL, BARS = 20.0, 190.0, 420.0  # height of a bar with its margin, width of its label, total width


@dataclass(frozen=True)
class Sweep:
    """One search. trials: records with number, state, params, values, run, error, seconds. best: numbers of trials."""

    folder: str
    about: dict[str, Any]
    trials: list[dict[str, Any]]
    best: list[int]
    importance: dict[str, dict[str, float]]

    @property
    def anchor(self) -> str:
        return anchor("sweep", self.folder)

    @property
    def done(self) -> list[dict[str, Any]]:
        return [trial for trial in self.trials if trial["state"] == "done"]

    @property
    def counts(self) -> str:
        states = dict.fromkeys(trial["state"] for trial in self.trials)
        counted = [f"{sum(trial['state'] == state for trial in self.trials)} {state}" for state in states]
        return f"{len(self.trials)} of {self.about['trials']} trials: {', '.join(counted)}"


@dataclass
class Scale:
    """One vertical axis. ticks: y on the canvas and label."""

    title: str
    full: str
    x: float
    ticks: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Thread:
    """The line of one trial in the plot. shade: from 0 (the worst) to 1."""

    number: int
    points: str
    shade: float
    is_best: bool
    tip: str


@dataclass
class Parallel:
    width: float
    scales: list[Scale]
    threads: list[Thread]
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    height: float = HEIGHT


def find_sweeps(runs_dir: Path) -> tuple[list[Sweep], list[str]]:
    """All readable searches below `runs_dir`, and a line of text for each unreadable one."""
    sweeps, broken = [], []
    for path in found(runs_dir, TRIALS):
        try:
            sweeps.append(_read(path))
        except Untrusted as error:
            broken.append(str(error))
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError, IndexError) as error:
            broken.append(printable(f"{path} is not the record of a sweep: {type(error).__name__}: {error}"))
    return sweeps, broken


def _read(path: Path) -> Sweep:
    """Read one search. Raises the errors of reading, of the schema or of drawing if the file is invalid."""
    content = foreign.parse_json(foreign.read(path))
    schema.check(content, SCHEMA)
    folder = printable(path.parent.name)
    sweep = Sweep(folder, content["sweep"], content["trials"], content["best"], content["importance"])
    objectives = len(sweep.about["objectives"])
    for trial in sweep.trials:
        if len(trial["values"] or ()) not in (0, objectives):
            raise ValueError(f"trial {trial['number']} has {len(trial['values'])} values for {objectives} objectives")
    _ = sweep.counts, parallel(sweep), bars(sweep)  # drawn once here, where errors are reported
    return sweep


# -- the trials as lines through parallel axes -------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantity:
    """An option or an objective, with its value in each finished trial. ends: the ends of its range, or all choices."""

    key: str
    values: Sequence[Any]
    ends: Sequence[Any]
    log: bool = False
    discrete: bool = False


def parallel(sweep: Sweep) -> Parallel | None:
    """The plot of trials as lines through parallel axes: options, then objectives. None for fewer than two finished trials."""
    done = sweep.done
    if len(done) < 2:
        return None
    options = [_option(key, node, done) for key, node in sweep.about["space"].items()]
    drawn = [_upright(each, LEFT + GAP * at) for at, each in enumerate([*options, *_objectives(sweep)])]
    scales, columns = [scale for scale, _ in drawn], [column for _, column in drawn]
    threads = [_thread(sweep, at, trial, scales, columns) for at, trial in enumerate(done)]
    threads.sort(key=lambda thread: (thread.is_best, thread.shade))  # the best are drawn last, on top
    return Parallel(2 * LEFT + GAP * (len(scales) - 1), scales, threads)


def _option(key: str, node: dict[str, Any], done: Sequence[dict[str, Any]]) -> Quantity:
    values, ends = [trial["params"][key] for trial in done], node.get("choices") or [node["low"], node["high"]]
    return Quantity(key, values, ends, bool(node.get("log")), "choices" in node)


def _objectives(sweep: Sweep) -> list[Quantity]:
    columns = zip(*(trial["values"] for trial in sweep.done), strict=True)
    return [
        Quantity(name, values, [min(values), max(values)])
        for name, values in zip(sweep.about["objectives"], columns, strict=True)
    ]


def _upright(quantity: Quantity, x: float) -> tuple[Scale, list[float]]:
    """The axis of a quantity at `x`, and the y of each value on the canvas."""
    scale = Scale(quantity.key.split(".")[-1], quantity.key, x)
    ends, values, log = quantity.ends, quantity.values, quantity.log
    if quantity.discrete:  # trials may have choices that are no longer in the YAML
        names = list(dict.fromkeys([*map(_text, ends), *map(str, values)]))
        places = {name: _height(index / max(1, len(names) - 1)) for index, name in enumerate(names)}
        scale.ticks = [(y, name) for name, y in places.items()]
        return scale, [places[str(value)] for value in values]
    low, high = (_position(end, log) for end in (min([*ends, *values]), max([*ends, *values])))
    shares = [(_position(value, log) - low) / (high - low) if high > low else 0.5 for value in values]
    ticks = ((0.0, low), (0.5, low + 0.5 * (high - low)), (1.0, high))
    scale.ticks = [(_height(share), shown(math.exp(at) if log else at)) for share, at in ticks]
    return scale, [_height(share) for share in shares]


def _thread(sweep: Sweep, at: int, trial: dict[str, Any], scales: list[Scale], columns: list[list[float]]) -> Thread:
    first = [other["values"][0] for other in sweep.done]
    falls = sweep.about["directions"][0] == "minimize"
    better = sum((value > first[at]) if falls else (value < first[at]) for value in first)
    said = [f"{name} {number(value)}" for name, value in zip(sweep.about["objectives"], trial["values"], strict=True)]
    said += [f"{key}={shown(value)}" for key, value in trial["params"].items()]
    points = " ".join(f"{scale.x:.1f},{column[at]:.1f}" for scale, column in zip(scales, columns, strict=True))
    is_best = trial["number"] in sweep.best
    return Thread(
        trial["number"],
        points,
        round(better / max(1, len(first) - 1), 3),
        is_best,
        f"trial {trial['number']}: {', '.join(said)}",
    )


def _position(value: float, log: bool) -> float:
    return math.log(value) if log else float(value)


def _height(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def shown(value: Any) -> str:
    """The value of an option as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    """A choice in the notation of the trials."""
    return value if isinstance(value, str) else json.dumps(value)


# -- importance of the options -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    name: str
    y: float
    length: float
    share: str


def bars(sweep: Sweep) -> dict[str, list[Bar]]:
    """Objective -> a bar per option, the longest first: the option's share of the variance over the trials (fANOVA)."""
    return {
        name: [
            Bar(key, 4 + BAR * index, round(float(share) * (BARS - LABEL - 50.0), 1), f"{float(share):.0%}")
            for index, (key, share) in enumerate(sorted(shares.items(), key=lambda item: -item[1]))
        ]
        for name, shares in sweep.importance.items()
    }
