"""Reads the rows in a folder of runs, and the later evaluations of these runs."""

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from genarena.errors import ArenaError, UserError
from genarena.files import foreign
from genarena.runs import evaluations
from genarena.runs.results import read_row

COSTS = {  # key in `cost` -> heading, unit, description
    "parameters": ("Parameters", "", "trained numbers"),
    "train_seconds": ("Training", "s", "time in training steps; validation and start-up not counted"),
    "examples_seen": ("Examples", "", "training examples seen"),
    "examples_per_second": ("Speed", "examples/s", "training examples per second"),
    "train_flops": ("Training", "FLOP", "of the whole training: matrix products, convolutions, attention"),
    "sample_flops": ("One sample", "FLOP", "of one sample: matrix products, convolutions, attention"),
    "nfe": ("NFE", "", "network evaluations per sample"),
    "sample_seconds_batch_1": ("Sampling, one at a time", "s/image", "seconds per image in batches of 1"),
    "sample_seconds_per_image": (
        "Sampling, blocks",
        "s/image",
        "seconds per image, drawn 100 at a time, large images fewer",
    ),
    "peak_memory_mb": ("Peak memory", "MB", "of the process, or of the GPU where there is one"),
    "evaluation_seconds": ("Evaluation", "s", "all metrics together"),
}


@dataclass(frozen=True)
class Run:
    """One row and its folder. resampled: sampling seed -> metrics of the same weights with that seed."""

    row: dict[str, Any]
    folder: Path
    resampled: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return self.row["model"]

    @property
    def overrides(self) -> tuple[str, ...]:
        return tuple(self.row.get("overrides", ()))

    @property
    def seed(self) -> int:
        return self.row.get("seed", 0)

    @property
    def imported(self) -> bool:
        return self.row.get("imported", False)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Key -> record; see `keyed`."""
        return keyed(self.row["metrics"])

    @property
    def name(self) -> str:
        return " ".join((self.model, *self.overrides))

    @property
    def error(self) -> str:
        """The reason for the failure of a run; empty for other runs."""
        return "" if self.row["status"] == "ok" else self.row.get("error", "no reason given")

    @property
    def device(self) -> str:
        return self.row.get("cost", {}).get("device") or self.row.get("hardware", {}).get("device") or ""

    @property
    def anchor(self) -> str:
        """The HTML id of the run's section. It depends on the row only, so that links still work on a new page."""
        row = self.row
        return anchor(
            row["data"]["id"],
            row["model"],
            str(row.get("run", self.folder.name)),
            *([row["evaluation"]] if "evaluation" in row else []),
        )

    @property
    def classifier(self) -> str:
        """Digest of the domain classifier that the metrics used; empty if none did, as in failed runs."""
        backbones = [record.get("backbone", {}) for record in self.row["metrics"].values()]
        return next(
            (backbone["weights"] for backbone in backbones if backbone.get("name", "").startswith("domain-classifier")),
            "",
        )

    def value(self, key: str) -> float | None:
        """The value of a metric or a cost."""
        return self.record(key).get("value")

    def has(self, key: str) -> bool:
        """Whether a metric or a cost was computed for this run; its value may still be null."""
        return key in COSTS or key in self.metrics

    def record(self, key: str) -> dict[str, Any]:
        if key in COSTS:
            cost = self.row.get("cost", {})
            return {
                "value": _with_first_stage(cost, key),
                "reason": cost.get("unmeasured", {}).get(key, "not measured"),
            }
        return self.metrics.get(key, {"value": None, "reason": "not measured"})


def keyed(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Key of a column -> record. A conditional likelihood has a column of its own: log p(x | y) is not log p(x)."""
    return {
        f"{name}_given_{record['given']}" if record.get("given") else name: record for name, record in metrics.items()
    }


def _with_first_stage(cost: dict[str, Any], key: str) -> float | None:
    """A cost, with that of the run that the model stands on; None where one of the two is not known."""
    own, first = cost.get(key), cost.get("first_stage", {})
    if own is None or key not in first:
        return own
    return None if first[key] is None else own + first[key]


def anchor(*parts: str) -> str:
    """The id of an HTML element: a readable name and a hash of `parts`, so that it is unique and the same on every page."""
    slug = "-".join("".join(c if c.isascii() and c.isalnum() else "-" for c in part) for part in parts)
    return f"{slug}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:6]}"


def found(runs_dir: Path, name: str) -> list[Path]:
    """All files with this name below a folder, sorted. Hidden folders and `__MACOSX` are skipped; links are not followed."""
    paths = []
    for folder, below, files in os.walk(runs_dir):
        below[:] = [each for each in below if not each.startswith(".") and each != "__MACOSX"]
        paths += [Path(folder) / name] if name in files else []
    return sorted(paths)


def find_runs(runs_dir: Path) -> tuple[list[Run], list[str]]:
    """All readable rows below `runs_dir`, and a line of text for each unreadable one. Raises UserError if there are none."""
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder")
    runs, broken, of_searches = [], [], 0
    for path in found(runs_dir, "result.json"):
        if path.parent.name == evaluations.FOLDER:
            continue
        try:
            foreign.check_folder(path.parent)
            row = read_row(path)
            if evaluations.is_evaluation(path):
                evaluations.check_weights(row, path)
        except ArenaError as error:
            broken.append(str(error))
            continue
        if "task" in row:  # in a table of its own: `leaderboard.tasks`
            continue
        if row["data"]["split"] == "val":  # models were selected on this split, so it is not a result
            of_searches += 1
            continue
        resampled, others, complaints = _evaluations(row, path.parent / evaluations.FOLDER)
        broken += complaints
        row["metrics"] = others | row["metrics"]
        runs.append(Run(row, path.parent, resampled))
    if not runs and not of_searches:
        left_out = f"; left out: {broken[0]}" if broken else ""
        raise UserError(f"runs_dir={runs_dir}: no finished run (result.json) below it{left_out}")
    return runs, broken


def _evaluations(row: dict[str, Any], folder: Path) -> tuple[dict[int, dict[str, Any]], dict[str, Any], list[str]]:
    """Evaluations in `folder`: sampling seed -> metrics, metrics that the row does not have, and a text per unreadable file."""
    resampled, others, complaints = {}, {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            again = read_row(path)
            _must_fit(row, again, path)
        except ArenaError as error:
            complaints.append(str(error))
            continue
        seed = _sample_seed(again)
        if seed != _sample_seed(row):
            resampled[seed] = resampled.get(seed, {}) | keyed(again["metrics"])
        else:  # the same seed: only metrics that the row does not have are used
            others |= again["metrics"]
    return resampled, others, complaints


def _must_fit(row: dict[str, Any], again: dict[str, Any], path: Path) -> None:
    """Raise UserError unless `again` is an evaluation of the same run with the same protocol.

    A setting in only one of the two protocols is ignored: it belongs to a metric that the other does not have.
    """
    if again.get("run") != row.get("run"):
        raise UserError(f"{path} is not an evaluation of this run but of {again.get('run')}")
    differing = [
        key
        for key, pair in differences(row["protocol"], again["protocol"]).items()
        if None not in pair and key not in ("id", "metrics", "settings.sample_seed")
    ]
    if differing:
        raise UserError(f"{path} was scored under another protocol: {', '.join(differing)}")


def _sample_seed(row: dict[str, Any]) -> int:
    return row["protocol"].get("settings", {}).get("sample_seed", 0)


def differences(one: Any, other: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key -> both values, for each entry that differs between two nested dictionaries."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            name: pair
            for key in sorted({*one, *other}, key=str)
            for name, pair in differences(one.get(key), other.get(key), f"{prefix}.{key}").items()
        }
    return {} if one == other else {prefix.removeprefix("."): (one, other)}
