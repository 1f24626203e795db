"""Estimates the cost of jobs before they start: from finished runs of the same kind, else by a trial. Imports no torch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table
from rich.text import Text

from genarena.errors import counted
from genarena.jobs.job import Job
from genarena.jobs.launcher import final_code
from genarena.runs import results
from genarena.runs.past import fingerprint
from genarena.training.validations import number

STARTUP = 10.0  # seconds until a run begins, if not measured
PICTURES = 2**20  # bytes of pictures and text in a run folder
ONE_PASS = 60_000  # assumed number of training examples; the data set is not opened


@dataclass(frozen=True)
class Estimate:
    """The cost of one run. source: "trial", or the earlier run that it comes from.

    memory_mb: from a trial it does not include the memory of the data set.
    """

    seconds: float
    memory_mb: float
    disk_bytes: float
    source: str


@dataclass(frozen=True)
class Group:
    """Jobs that differ only in their seeds."""

    jobs: list[Job]
    estimate: Estimate | None
    error: str = ""

    @property
    def missing(self) -> list[Job]:
        return [job for job in self.jobs if not is_done(job)]


def is_done(job: Job) -> bool:
    """Whether the job has ended for good, so that the launcher would not run it."""
    return job.folder is not None and final_code(job.folder) is not None


def preview(jobs: Sequence[Job], track: Callable[..., Iterable[Any]]) -> list[Group]:
    """Groups of jobs with the estimated cost of each run; `track(items, title, total)` shows the progress of trials."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_kind(job.cfg), []).append(job)
    known = {kind: next(filter(None, map(_earlier, members)), None) for kind, members in groups.items()}
    new = [kind for kind in groups if known[kind] is None]
    found = dict(zip(new, track(_trials([groups[kind][0].cfg for kind in new]), "trial", len(new)), strict=True))
    made = []
    for kind, members in groups.items():
        trial = found.get(kind, {})
        estimate = known[kind] or (None if "error" in trial else _estimate(members[0].cfg, trial))
        made.append(Group(members, estimate, trial.get("error", "")))
    return made


def _kind(cfg: dict[str, Any]) -> str:
    return fingerprint({**cfg, "seed": 0, "data": {**cfg["data"], "seed": 0}})


def _earlier(job: Job) -> Estimate | None:
    """The cost of this job's finished run; None if there is none."""
    if job.folder is None or not results.is_finished(job.folder / "result.json"):
        return None
    cost = results.read_row(job.folder / "result.json")["cost"]
    seconds = STARTUP + cost["train_seconds"] + cost.get("evaluation_seconds", 0.0)
    size = sum(path.stat().st_size for path in job.folder.rglob("*") if path.is_file())
    peak = max(cost.get(f"{part}process_memory_mb", 0.0) for part in ("", "evaluation_"))
    return Estimate(seconds, peak, size, f"seed {job.cfg['seed']}")


def _trials(cfgs: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The results of `genarena.jobs.trial` for each configuration; an `error` if the process died."""
    if not cfgs:
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "genarena.jobs.trial"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    told = 0
    with process:
        process.stdin.write(json.dumps(cfgs))
        process.stdin.close()
        for line in process.stdout:
            told += 1
            yield json.loads(line)
    if told < len(cfgs):
        yield {"error": f"the trial ended with exit code {process.returncode}"}
        yield from _trials(cfgs[told + 1 :])


def _estimate(cfg: dict[str, Any], trial: dict[str, Any]) -> Estimate:
    budget, sizes = cfg["budget"], cfg["evidence"]
    examples = float("inf") if budget["examples"] is None else budget["examples"]
    if budget["flops"] is not None and trial["example_flops"]:
        examples = min(examples, budget["flops"] / trial["example_flops"])
    training = examples * trial["example_seconds"]
    if trial["passes"] is not None:
        training = min(training, trial["passes"] * ONE_PASS * trial["example_seconds"])
    if budget["minutes"] is not None:
        training = min(training, 60.0 * budget["minutes"])
    grids = number(budget["validations"]) * (
        cfg["callbacks"]["grid_size"] * trial["sample_seconds"] + budget["num_val"] * trial["likelihood_seconds"]
    )
    scoring = sizes["samples"]["num_samples"] * trial["sample_seconds"]
    scoring += sizes["examples"]["num_test"] * trial["likelihood_seconds"]
    disk = trial["checkpoints"] * trial["checkpoint_bytes"] + 2 * trial["weight_bytes"] + PICTURES
    return Estimate(trial["startup_seconds"] + training + grids + scoring, trial["memory_mb"], disk, "trial")


# -- what is shown -----------------------------------------------------------------------------------------------------


def table(groups: Sequence[Group]) -> Table:
    """A table with a line per group."""
    shown = Table(title=Text("Cost per run"), title_justify="left")
    for heading, justify in (
        ("model", "left"),
        ("data", "left"),
        ("to do", "right"),
        ("time", "right"),
        ("memory", "right"),
        ("disk", "right"),
        ("known from", "left"),
    ):
        shown.add_column(heading, justify=justify)
    for group in groups:
        names, estimate = group.jobs[0].cfg["choices"], group.estimate
        cells = (
            [duration(estimate.seconds), size(estimate.memory_mb * 2**20), size(estimate.disk_bytes), estimate.source]
            if estimate
            else ["-", "-", "-", group.error]
        )
        shown.add_row(
            Text(names["model"]),
            Text(_data_name(group.jobs[0])),
            f"{len(group.missing)} of {len(group.jobs)}",
            *map(Text, cells),
        )
    return shown


def _data_name(job: Job) -> str:
    """The name of the data set, with the data options that were given."""
    given = [text for text in job.overrides if text.lstrip("+").startswith("data.") and "data.root" not in text]
    return " ".join([job.cfg["choices"]["data"], *(text.lstrip("+").removeprefix("data.") for text in given)])


def summary(groups: Sequence[Group], slots: int, runs_dir: str) -> list[str]:
    """The total in one line, and a warning for each resource (disk, memory) that may not suffice."""
    jobs = [job for group in groups for job in group.jobs]
    missing = [job for group in groups for job in group.missing]
    begun = sum(job.folder is not None for job in missing)
    known = [(group.estimate, len(group.missing)) for group in groups if group.estimate]
    seconds = sum(estimate.seconds * count for estimate, count in known) / slots
    disk = sum(estimate.disk_bytes * count for estimate, count in known)
    memory = slots * max((estimate.memory_mb * 2**20 for estimate, count in known if count), default=0.0)
    there = Path(runs_dir).absolute()
    free = shutil.disk_usage(next(path for path in (there, *there.parents) if path.exists())).free
    available = psutil.virtual_memory().available
    lines = [
        f"{counted(len(jobs), 'run')}, {len(jobs) - len(missing)} finished, "
        f"{begun} to go on, {len(missing) - begun} new: about "
        f"{duration(seconds)} ({slots} at a time), {size(memory)} memory, {size(disk)} disk"
    ]
    lines += [f"warning: only {size(free)} of disk are free at {runs_dir}"] if disk > free else []
    lines += [f"warning: only {size(available)} of memory are free"] if memory > available else []
    return lines


def duration(seconds: float) -> str:
    """In seconds, minutes or hours, e.g. `12 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    return f"{num_bytes / 2**20:.0f} MB" if num_bytes < 2**30 else f"{num_bytes / 2**30:.1f} GB"
