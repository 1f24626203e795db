"""Tasks on many runs: those that are named, or those of lines of train.py, which are trained where they are missing."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena import config
from genarena.errors import ArenaError, counted, printable
from genarena.jobs import launcher
from genarena.jobs.job import Job, is_of_launcher, jobs_of
from genarena.runs import evaluations, results

Node = Mapping[str, Any]  # of a task, as `choosing.chosen` gives it


@dataclass(frozen=True)
class Place:
    """Where the rows go: into the runs, or below `out`, there in a folder of each run if there are several."""

    out: str | None = None
    several: bool = False

    def of(self, run: Path) -> Path:
        if self.out is None:
            return run / evaluations.FOLDER
        return Path(self.out, f"{run.parent.name}-{run.name}") if self.several else Path(self.out)


@dataclass(frozen=True)
class Case:
    """The row of a case, written now or there already."""

    row: Mapping[str, Any]
    path: Path
    is_new: bool


@dataclass(frozen=True)
class Failure:
    """what: a run or a line, and the error in one line."""

    what: str
    error: str
    exit_code: int


@dataclass(frozen=True)
class Wanted:
    """Tasks to be done. again: also the cases whose row is there."""

    nodes: Sequence[Node]
    place: Place
    root: str | None = None
    device: str = "cpu"
    again: bool = False

    def on(self, run: Path) -> Iterator[Case]:
        """Every case of every task on a run. Raises ArenaError."""
        from genarena.tasks import task_run  # imports torch, which a mistyped option need not wait for

        for node in self.nodes:
            asked, folder = task_run.opened(run, node, self.root), self.place.of(run)
            for reason in asked.left_out.values():
                print(f"left out: {run}: {reason}", flush=True)
            there = {case: None if self.again else asked.there(case, folder) for case in asked.cases}
            for path in filter(None, there.values()):
                yield Case(results.read_row(path), path, False)
            missing = [case for case, path in there.items() if path is None]
            for solved in asked.solve(missing, self.root, self.device):
                path = task_run.write(solved, folder / solved.row["evaluation"])
                yield Case(solved.row, path, True)


def solve_all(wanted: Wanted, runs: Sequence[Path]) -> Iterator[Case | Failure]:
    """Every case on every run; after a run that fails, the others go on."""
    for run in runs:
        try:
            yield from wanted.on(run)
        except (ArenaError, OSError) as error:
            yield Failure(f"run={run}", printable(error), getattr(error, "exit_code", 2))


def trained(given: Sequence[str], nodes: Sequence[Node]) -> tuple[list[Path], list[Failure]]:
    """The finished runs of lines of train.py with comma lists, trained by the launcher where they are missing; and what failed.

    nodes: the tasks that the runs are for, which may add options to the lines, and refuse models before they are trained.
    Raises UserError for options that train.py does not take.
    """
    from genarena.tasks import task_run

    tasks = {task_run.name_of(node): task_run.built(node) for node in nodes}
    added = [text for task in tasks.values() for text in task.training_options()]
    checked = config.check(with_options(given, added))
    fitting, failures = able(jobs_of(checked), nodes)
    folders: list[Path] = []
    if fitting:
        outcomes = launcher.outcomes_of(fitting, list(filter(is_of_launcher, checked)))
        folders = [each.folder for each in outcomes if not each.exit_code and each.folder]
        failures += [Failure(each.job.name, each.error, each.exit_code) for each in outcomes if each.exit_code]
    return folders, failures


def with_options(given: Sequence[str], added: Sequence[str]) -> list[str]:
    """The options of a line, and those of `added` that it does not have."""
    keys = {text.lstrip("+").partition("=")[0] for text in given}
    return [*given, *(text for text in dict.fromkeys(added) if text.lstrip("+").partition("=")[0] not in keys)]


def able(jobs: Sequence[Job], nodes: Sequence[Node]) -> tuple[list[Job], list[Failure]]:
    """The jobs whose models can do one of the tasks at least; and, once per model and task, why a model cannot."""
    fitting, refused = [], {}
    for job in jobs:
        if reason := untrainable(job):
            refused[job.cfg["choices"]["model"], reason] = None
            continue
        reasons = [(node, refusal(job, node)) for node in nodes]
        refused |= {(job.cfg["choices"]["model"], said): None for _, said in reasons if said}
        fitting += [job] if not all(said for _, said in reasons) else []
    return fitting, [Failure(f"model={model}", said, 2) for model, said in refused]


def untrainable(job: Job) -> str:
    """Why the model of a job cannot be trained on rows with the holes of a task; "" if it can."""
    from genarena.tasks import abilities

    model, missing = job.cfg["model"], job.cfg["data"].get("missing")
    return abilities.class_of(model, "model").refusal_of_holes(missing) if missing else ""


def refusal(job: Job, node: Node) -> str:
    """Why the model of a job cannot do a task; "" if it may."""
    from genarena.tasks import abilities, task_run

    task, model = task_run.built(node), job.cfg["model"]
    said = task.refusal(abilities.class_of(model, "model"))
    return said and f"task={task_run.name_of(node)}: {said}"


def report(failures: Sequence[Failure], num_done: int) -> int:
    """Print what failed. Returns the worst exit code."""
    for failure in failures:
        print(f"error: {failure.what}: {failure.error}", file=sys.stderr)
    if failures:
        print(
            f"{len(failures)} failed, {counted(num_done, 'row')} {'is' if num_done == 1 else 'are'} there", flush=True
        )
    return launcher.worst(failure.exit_code for failure in failures)
