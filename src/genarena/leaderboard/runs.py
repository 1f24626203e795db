"""Reads the rows in a folder of runs, and the later evaluations of these runs."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from genarena.errors import ArenaError, UserError, counted
from genarena.files import foreign
from genarena.leaderboard.later import evaluations_of
from genarena.runs import evaluations
from genarena.runs.results import ADVICE, OtherVersion, read_row

COSTS = {  # key in `cost` -> heading, unit, description
    "parameters": ("Parameters", "", "numbers that training changes"),
    "generator_parameters": ("Generator", "parameters", "weights that sampling reads: no discriminator, no encoder"),
    "sampling_state": ("Sampling state", "numbers", "all that sampling reads: weights, stored chains or examples"),
    "train_seconds": ("Training", "s", "time in training steps; validation and start-up not counted"),
    "examples_seen": ("Examples", "", "training examples seen"),
    "examples_per_second": ("Speed", "examples/s", "training examples per second"),
    "train_flops": ("Training", "FLOP", "operations of the whole training: matrix products, convolutions, attention"),
    "sample_flops": ("One sample", "FLOP", "operations of one sample: matrix products, convolutions, attention"),
    "nfe": ("NFE", "", "network evaluations per sample"),
    "sample_seconds_batch_1": ("Sampling, one at a time", "s/image", "seconds per image in batches of 1"),
    "sample_seconds_per_image": (
        "Sampling, blocks",
        "s/image",
        "seconds per image, drawn 100 at a time, large images fewer",
    ),
    "peak_memory_mb": (
        "Peak memory",
        "MB",
        "memory of training, above libraries and data; of the GPU where there is one",
    ),
    "selected_at": ("Selected at", "%", "share of the budget after which the evaluated weights were taken"),
    "evaluation_seconds": ("Evaluation", "s", "all metrics together"),
}
TRIALS = "trials.json"  # of a search, whose runs lie in <folder>/runs/<data>/<model>/<run>/


@dataclass(frozen=True)
class Run:
    """One row and its folder.

    later: rows of later evaluations of the same weights. usual: key of a column -> id of its protocol; records of the same
    metric under another protocol have another key.
    """

    row: dict[str, Any]
    folder: Path
    later: tuple[dict[str, Any], ...] = ()
    usual: Mapping[str, str] = field(default_factory=dict)

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
        """Key of a column -> record; also of metrics that were scored later, with the same seed of sampling."""
        return self._keyed([self.row, *(each for each in self.later if _sample_seed(each) == _sample_seed(self.row))])

    @cached_property
    def resampled(self) -> dict[int, dict[str, dict[str, Any]]]:
        """Another seed of sampling -> key of a column -> record, of the same weights."""
        seeds = dict.fromkeys(map(_sample_seed, self.later)) | {_sample_seed(self.row): None}
        del seeds[_sample_seed(self.row)]
        return {seed: self._keyed([each for each in self.later if _sample_seed(each) == seed]) for seed in seeds}

    def _keyed(self, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """A null under another protocol than the usual one stands in the usual column, where it says why."""
        found: dict[str, dict[str, Any]] = {}
        nulls: dict[str, dict[str, Any]] = {}
        for name, record in (pair for row in rows for pair in row["metrics"].items()):
            key, protocol = key_of(name, record), record.get("protocol", "")
            if record.get("other_data"):  # `genarena.evaluation.other_data`: it needs no column here
                continue
            if self.usual.get(key, protocol) == protocol:
                found.setdefault(key, record)
            elif record["value"] is None:
                nulls.setdefault(key, record)
            else:
                found.setdefault(f"{key}_{protocol}", record)
        return nulls | found

    @cached_property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """Id of a metric's protocol -> all that it stands for."""
        rules = [rule for row in (self.row, *self.later) for rule in row["protocol"]["metrics"].values()]
        return {rule["id"]: rule for rule in rules}

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
    def machine(self) -> str:
        """What a minute is worth: the device, its threads, and the number of processes."""
        threads = self.row.get("hardware", {}).get("threads") or self.row.get("machine", {}).get("threads")
        ranks = self.row.get("cost", {}).get("world_size", 1)
        parts = [
            self.device,
            f"{threads} thread{'s' if threads > 1 else ''}" if threads else "",
            f"{ranks} processes" if ranks > 1 else "",
        ]
        return ", ".join(filter(None, parts))

    def value(self, key: str) -> float | None:
        """The value of a metric or a cost."""
        return self.record(key).get("value")

    def has(self, key: str) -> bool:
        """Whether a metric or a cost was computed for this run; its value may still be null."""
        return key in COSTS or key in self.metrics

    def record(self, key: str) -> dict[str, Any]:
        if key in COSTS:
            cost = self.row.get("cost", {}) | {"selected_at": self._selected_at}
            return {
                "value": _with_first_stage(cost, key),
                "reason": cost.get("unmeasured", {}).get(key, "not measured"),
            }
        return self.metrics.get(key, {"value": None, "reason": "not measured"})

    @property
    def _selected_at(self) -> float | None:
        share = self.row.get("selected", {}).get("share")
        return None if share is None else 100.0 * share


def identity_of(run: Run) -> str:
    """The identity of a run: equal for seeds of one line."""
    return run.row["line"]["id"]


def key_of(name: str, record: dict[str, Any]) -> str:
    """Key of the column of a metric. A conditional likelihood has one of its own: log p(x | y) is not log p(x)."""
    return f"{name}_given_{record['given']}" if record.get("given") else name


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
    others: dict[int, list[Path]] = {}
    for path in found(runs_dir, "result.json"):
        if path.parent.name == evaluations.FOLDER:
            continue
        if evaluations.is_evaluation(path):  # read with its run
            alone = not (path.parents[2] / "result.json").exists()
            broken += [f"{path} is an evaluation of a run that has no row"] if alone else []
            continue
        try:
            foreign.check_folder(path.parent)
            row = read_row(path)
        except OtherVersion as error:
            others.setdefault(error.version, []).append(path)
            continue
        except ArenaError as error:
            broken.append(str(error))
            continue
        scored = evaluations_of(row, path.parent)
        broken += scored.complaints
        if row["data"]["split"] == "val":  # models were selected on this split, so it is not a result
            of_searches += 1
            is_trial = len(path.parents) > 4 and (path.parents[4] / TRIALS).is_file()
            broken += [] if is_trial else [f"{path} is about the validation split, and no result"]
            del scored.lines[0]
        runs += [Run(line.row, line.folder, tuple(line.later)) for line in scored.lines]
    for version, paths in others.items():
        broken.append(f"{counted(len(paths), 'row')} of schema version {version}, such as {paths[0]}; {ADVICE}")
    if not runs and not of_searches:
        left_out = f"; left out: {broken[0]}" if broken else ""
        raise UserError(f"runs_dir={runs_dir}: no finished run (result.json) below it{left_out}")
    return runs, broken


def _sample_seed(row: dict[str, Any]) -> int:
    return row["protocol"].get("sample_seed", 0)
