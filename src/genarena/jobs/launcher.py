"""Many runs with one command: every job is a process of its own, and finished jobs are not repeated.

This process only starts and watches jobs; it imports no torch.
"""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from genarena.errors import UserError
from genarena.jobs.handle import Handle
from genarena.jobs.job import GRACE, Job, Outcome, is_of_launcher, job_of, jobs_of
from genarena.options.overrides import written
from genarena.runs import interruption, results
from genarena.runs.past import wait_until_free

POLL = 0.2  # seconds
SEVERITY = (0, 5, 2, 3, 4, 1)  # exit codes, the worst last


class Launcher(Protocol):
    slots: int

    def start(self, job: Job, arguments: Sequence[str], slot: int) -> Handle:
        """Start `<script of the job> <arguments>`; `slot` in [0, slots) is free."""

    def attach(self, job: Job, slot: int) -> Handle | None:
        """The job, if an earlier command started it and it still runs; else None."""

    def close(self) -> None:
        """Called at the end: no job runs, and none will be started."""


class Queue:
    """The jobs to run. A search, which decides during the runs, overrides the methods."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.waiting = list(jobs)
        self.total = len(self.waiting)
        self.outcomes: list[Outcome] = []

    def take(self) -> Job | None:
        """The next job; None if there is nothing to start now."""
        return self.waiting.pop(0) if self.waiting else None

    def unwanted(self, job: Job) -> bool:
        """Whether a running job should be stopped; called repeatedly."""
        return False

    def record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        print(f"[{len(self.outcomes)}/{self.total}] {outcome.text}", flush=True)


def multirun(overrides: Sequence[str]) -> int:
    """`python train.py -m ...`: run the missing jobs, and continue after failures. Returns the worst exit code."""
    return report(outcomes_of(jobs_of(overrides), list(filter(is_of_launcher, overrides))))


def outcomes_of(jobs: Sequence[Job], of_launcher: Sequence[str]) -> list[Outcome]:
    """Run the missing ones of the jobs, and continue after failures. of_launcher: options `launcher...`."""
    if "LOCAL_RANK" in os.environ:
        raise UserError("-m starts the ranks of each job itself: start it with python, not torchrun")
    queue = Queue(jobs)
    first = job_of([*jobs[0].overrides, *of_launcher]).cfg
    work(queue, make(first["launcher"], first["trainer"]))
    return queue.outcomes


def make(settings: dict[str, Any], trainer: dict[str, Any]) -> Launcher:
    """The launcher of `conf/launcher/<kind>.yaml` for jobs with such a trainer."""
    if settings["kind"] == "slurm":
        from genarena.jobs import slurm

        slurm.parameters(settings, trainer, "")  # finds mistakes before the first job
        return slurm.Slurm(settings)
    from genarena.jobs import local_jobs

    return local_jobs.Processes(settings["slots"] or local_jobs.slots(trainer))


def report(outcomes: Sequence[Outcome]) -> int:
    """Print the failed jobs. Returns the worst exit code."""
    failed = [outcome for outcome in outcomes if outcome.exit_code]
    for outcome in failed:
        print(f"error: {outcome.text}", file=sys.stderr)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} jobs finished", flush=True)
    return worst(outcome.exit_code for outcome in outcomes)


def worst(codes: Iterable[int]) -> int:
    return max(codes, key=SEVERITY.index, default=0)


# -- the loop ----------------------------------------------------------------------------------------------------------


def work(queue: Queue, launcher: Launcher) -> None:
    """Run jobs until the queue is empty. If this process gets a signal to end, the jobs first write checkpoints."""
    running: dict[int, Running] = {}
    interruption.GRACE = GRACE + 5.0
    try:
        while True:
            for slot in range(launcher.slots):
                while slot not in running and (job := queue.take()) is not None:
                    started = _start(job, launcher, slot)
                    if isinstance(started, Outcome):
                        queue.record(started)
                    else:
                        running[slot] = started
            if not running:
                return
            time.sleep(POLL)
            for slot, entry in list(running.items()):
                if queue.unwanted(entry.job):
                    entry.handle.stop()
                if (code := entry.handle.poll()) is not None:
                    del running[slot]
                    queue.record(_outcome(entry, code))
    finally:
        _stop_all([entry.handle for entry in running.values()])
        launcher.close()


@dataclass(frozen=True)
class Running:
    job: Job
    handle: Handle
    began: float


def _start(job: Job, launcher: Launcher, slot: int) -> Running | Outcome:
    """The running job, or its outcome if it need not or cannot run."""
    folder = job.folder
    if folder is not None and (code := final_code(folder)) is not None:
        return Outcome(job, code, folder, _error(folder, job), reused=True)
    if (handle := launcher.attach(job, slot)) is not None:
        return Running(job, handle, time.monotonic())
    if folder is not None and not wait_until_free(folder, GRACE):
        return Outcome(job, 5, folder, f"{folder} is in use by another process")
    resume = [written("resume", folder)] if folder else []
    return Running(job, launcher.start(job, [*job.overrides, *resume], slot), time.monotonic())


def final_code(folder: Path) -> int | None:
    """The exit code of a run that must not be repeated, because it finished or diverged; None for any other run."""
    row = results.sound_row(folder / "result.json")
    return {"ok": 0, "diverged": 3}.get(row["status"]) if row else None


def _outcome(entry: Running, code: int) -> Outcome:
    code = code if code in SEVERITY else 1  # e.g. killed by a signal
    folder = entry.job.folder
    error = _error(folder, entry.job) if code else ""
    return Outcome(entry.job, code, folder, error, time.monotonic() - entry.began)


def _error(folder: Path | None, job: Job) -> str:
    """The reason of a failure, in one line: from the job's row, else the last error that it printed."""
    printed = job.log.read_text(errors="replace").splitlines() if job.log.is_file() else []
    said = [line.removeprefix("error: ") for line in printed if line.startswith("error: ")]
    if folder is not None and (row := results.sound_row(folder / "result.json")):
        return row.get("error", "")
    return said[-1] if said else (printed or ["it printed nothing"])[-1]


def _stop_all(handles: list[Handle]) -> None:
    for handle in handles:
        handle.stop()
    deadline = time.monotonic() + GRACE
    while handles and time.monotonic() < deadline:
        handles = [handle for handle in handles if handle.poll() is None]
        time.sleep(POLL)
    for handle in handles:
        handle.kill()
