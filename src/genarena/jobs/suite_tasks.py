"""Tasks of a suite: after each run that is trained, the tasks on it, as jobs of the same queue.

A task job is a process of `scripts/task.py`, which computes nothing again whose row is there.
"""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from genarena import config
from genarena.errors import UserError
from genarena.jobs import benchmark, solving
from genarena.jobs.job import Job, Outcome, jobs_of
from genarena.jobs.solving import Node
from genarena.runs.past import fingerprint
from genarena.tasks import choosing

TASK = config.SOURCE / "scripts" / "task.py"


@dataclass(frozen=True, eq=False)
class TaskJob(Job):
    """A task on the run of a training job, which has the same configuration."""

    @property
    def what(self) -> str:
        return f", {' '.join(text for text in self.overrides if not text.startswith('run='))}"

    @property
    def log(self) -> Path:
        name = self.overrides[0].partition("=")[2]
        digest = hashlib.sha256(" ".join(self.overrides).encode()).hexdigest()[:8]
        before = super().log
        return before.with_name(f"{before.stem}-{name}-{digest}.log")

    @property
    def folder(self) -> None:
        """None: whether anything is to be done, the program itself finds out."""


@dataclass(frozen=True)
class Asked:
    """A line of a suite, e.g. `inpaint operator=half`: as words of task.py, and as the node of the task."""

    words: tuple[str, ...]
    node: Node

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the training for this task. Raises UserError for a setting that the task refuses."""
        from genarena.tasks import task_run  # imports torch

        return task_run.built(self.node).training_options()


@dataclass
class Plan:
    """overrides: of train.py. tasks: training job -> words of the tasks on its run. refused: a line for each model
    and task that it cannot do."""

    overrides: list[str] = field(default_factory=list)
    tasks: dict[Job, list[tuple[str, ...]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> list[Job]:
        return list(self.tasks)

    @property
    def lines(self) -> list[str]:
        """What a user is told before anything starts."""
        return [f"then {self.num_tasks} tasks on these runs", *self.refused] if self.tasks else []

    @property
    def num_tasks(self) -> int:
        return sum(map(len, self.tasks.values()))


def asked(line: str) -> Asked:
    """A line of a suite. Raises UserError for a task, an algorithm or an option that does not exist."""
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        raise UserError(f"tasks: {line}: expected <task> [<option>=<value> ...]") from error
    words = [f"task={name}", *words]
    (found,) = choosing.read_all(words, many=False)
    return Asked(tuple(words), choosing.chosen(*found))


def plan(suite: str, given: Sequence[str], lines: Sequence[str]) -> Plan:
    """The runs of a suite and the tasks on them. Runs that are trained for a task have its options too.

    Raises UserError, before anything is trained, for what the command line and the lines may not say.
    """
    made, known = Plan(), {}
    refused: dict[str, None] = {}
    groups: dict[tuple[str, ...], list[Asked]] = {}
    for each in map(asked, lines):
        groups.setdefault(each.options, []).append(each)
    for options, group in groups.items():
        overrides = benchmark.command(suite, solving.with_options(given, options))
        made.overrides = made.overrides or overrides
        for job in jobs_of(overrides):
            if reason := solving.untrainable(job):
                refused[f"{job.cfg['choices']['model']}: {reason}"] = None
                continue
            job = known.setdefault(fingerprint(job.cfg), job)
            made.tasks.setdefault(job, [])
            for each in group:
                if reason := solving.refusal(job, each.node):
                    refused[f"{job.cfg['choices']['model']}: {reason}"] = None
                else:
                    made.tasks[job].append(each.words)
    made.refused = list(refused)
    if lines and not made.tasks:
        raise UserError("no model can be trained for these tasks: " + "; ".join(made.refused))
    return made


class View(benchmark.View):
    """The queue of a plan: the tasks of a run wait until it is trained, and are left out if it failed."""

    counted = "runs and tasks"

    def __init__(self, made: Plan, seconds: dict[Job, float], num_slots: int, console: Console) -> None:
        super().__init__(made.jobs, seconds, num_slots, console)
        self.plan = made
        self.total += made.num_tasks

    def record(self, outcome: Outcome) -> None:
        tasks = self.plan.tasks.get(outcome.job, [])
        if outcome.exit_code or outcome.folder is None:
            self.total -= len(tasks)
        else:
            self.waiting += [of_run(outcome.job, outcome.folder, words) for words in tasks]
        super().record(outcome)


def of_run(job: Job, folder: Path, words: Sequence[str]) -> TaskJob:
    """The job of a task on the run of a training job."""
    device = ["device=cuda"] if job.cfg["trainer"]["accelerator"] in ("gpu", "cuda") else []
    return TaskJob((*words, f"run={folder}", *device), job.cfg, TASK)
