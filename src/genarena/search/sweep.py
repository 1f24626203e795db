"""`sweep=<name>`: a search for hyperparameters with Optuna, judged on the validation split. Imports no torch.

Every trial is a job of the launcher, with its own run folder. Optuna's storage records the parameters and the result of
every trial, so that the same command again runs only the missing trials. A trial whose process died is resumed with the
same parameters.
"""

import fcntl
import os
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.files.atomic import replace_atomically
from genarena.jobs import launcher
from genarena.jobs.job import Job, Outcome, job_of
from genarena.jobs.launcher import Queue
from genarena.leaderboard.curves import validations
from genarena.options.overrides import written
from genarena.runs import results
from genarena.search import sweep_report
from genarena.search.settings import folder_of, prepared
from genarena.training.validations import EARLY, number

BEAT = 60.0  # seconds between two heartbeats for other machines
SILENT = 600.0  # seconds without a heartbeat after which a trial of another machine counts as dead
FROM = 4  # smallest number of other trials for a comparison that may prune
ENOUGH = 3  # the search gives up if at least so many trials have ended and all of them failed
LOOK = 1.0  # seconds between two reads of the validations of a running trial


def sweep(overrides: Sequence[str]) -> int:
    """`python train.py sweep=<name> ...`: run the trials that are missing. Returns the worst exit code of all trials."""
    if "LOCAL_RANK" in os.environ:
        raise UserError("sweep= starts the ranks of each trial itself: start it with python, not torchrun")
    search = Search(overrides)
    launcher.work(search, launcher.make(search.cfg["launcher"], search.cfg["trainer"]))
    report = sweep_report.report(search.folder, search.study)
    print(report.text, flush=True)
    return launcher.worst(trial["exit_code"] for trial in report.trials)


class Search(Queue):
    """The trials of one search; the launcher takes the next one when a slot is free."""

    def __init__(self, overrides: Sequence[str]) -> None:
        super().__init__([])
        self.cfg = OmegaConf.to_container(config.compose(list(overrides)), resolve=True)
        self.settings, self.fixed, self.space = prepared(overrides, self.cfg)
        self.folder = folder_of(self.cfg, self.settings, list(self.space))
        self.running: dict[Job, int] = {}  # job -> trial id
        self.pruned: set[Job] = set()
        self.looked: dict[Job, float] = {}
        self.total = self.settings.trials
        self._describe()
        self.storage, self.study = sweep_report.open_study(self.folder, self.settings.storage, self._directions())

    def take(self) -> Job | None:
        """The job of a trial whose process died, else of a new trial; None if all trials exist."""
        with self._locked():
            trials = sweep_report.counted(self.study)
            _refuse_to_fail_on(trials)
            lost = next((trial for trial in trials if _is_running(trial) and not _is_alive(trial)), None)
            if lost is None and len(trials) >= self.settings.trials:
                return None
            trial_id = lost._trial_id if lost else self._create()
            if trial_id is None:
                return None
            for name, value in _owner().items():
                self.storage.set_trial_user_attr(trial_id, name, value)
        job = self._job(trial_id)
        self.running[job] = trial_id
        return job

    def _create(self) -> int | None:
        """The id of a new trial. None if searches on other machines, which the file lock does not cover, began the last one."""
        import optuna

        template = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, user_attrs=_owner())
        trial_id = self.storage.create_new_trial(self.study._study_id, template)
        before = [trial for trial in sweep_report.counted(self.study) if trial._trial_id < trial_id]
        if len(before) < self.settings.trials:
            return trial_id
        self.storage.set_trial_user_attr(trial_id, "surplus", True)
        self.storage.set_trial_state_values(trial_id, optuna.trial.TrialState.FAIL)
        return None

    def _job(self, trial_id: int) -> Job:
        """The job of a trial with its parameters; missing parameters are drawn.

        The sampler's seed depends on the number of the trial. A resumed search therefore repeats no start-up trial, and a
        search that is killed while it draws will draw the same values again.
        """
        import optuna

        number = self.storage.get_trial_number_from_id(trial_id)
        seed = self.cfg["seed"] + number
        self.study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self.settings.startup, constant_liar=True, multivariate=True
        )
        trial = optuna.Trial(self.study, trial_id)
        drawn = [f"{dimension.key}={dimension.suggest(trial)}" for dimension in self.space.values()]
        return job_of([*self.fixed, *drawn, written("runs_dir", self.folder / "runs")])

    def unwanted(self, job: Job) -> bool:
        """Whether the trial is pruned: the median of the other trials was better at the same share of the budget. The early
        validations (`genarena.training.validations`) decide nothing alone."""
        if job in self.pruned or time.monotonic() - self.looked.get(job, 0.0) < LOOK:
            return job in self.pruned
        self.looked[job] = time.monotonic()
        trial_id = self.running[job]
        trial = self.storage.get_trial(trial_id)
        if time.time() - trial.user_attrs["beat"] > BEAT:
            self.storage.set_trial_user_attr(trial_id, "beat", time.time())
        folder = job.folder if self.settings.prune_by else None
        values = validations(folder / "metrics.csv", self.settings.prune_by) if folder else []
        if len(values) > len(trial.user_attrs.get("validation", [])):
            self.storage.set_trial_user_attr(trial_id, "validation", values)
            others = [
                other.user_attrs.get("validation", [])
                for other in self.study.get_trials(deepcopy=False)
                if other.state.is_finished()
            ]
            total = number(job.cfg["budget"]["validations"])
            if len(EARLY) < len(values) < total and is_hopeless(values, others):
                self.pruned.add(job)
                self._tell(job, {"run": str(folder), "exit_code": 0}, None, "PRUNED")
        return job in self.pruned

    def record(self, outcome: Outcome) -> None:
        job = outcome.job
        values, error = ([], outcome.error) if outcome.exit_code else self._measured(outcome.folder)
        if job not in self.pruned:
            facts = {
                "run": str(outcome.folder or ""),
                "seconds": round(outcome.seconds, 1),
                "error": error,
                "exit_code": outcome.exit_code or (1 if error else 0),
            }
            self._tell(job, facts, None if error else values, "FAIL" if error else "COMPLETE")
        trial = self.storage.get_trial(self.running.pop(job))
        said = ", ".join(f"{name} {value:.5g}" for name, value in zip(self.settings.objectives, values, strict=False))
        if job in self.pruned:
            error = f"at {self.settings.prune_by} {trial.user_attrs['validation'][-1]:.5g}"
        print(
            f"[{trial.number + 1}/{self.total}] {trial.state.name.lower()} {error or said} {sweep_report.shown(trial)}",
            flush=True,
        )
        sweep_report.report(self.folder, self.study, importance=False)

    def _measured(self, folder: Path) -> tuple[list[float], str]:
        """The objectives of a finished run and "", or [] and the reason why an objective is missing."""
        metrics = results.read_row(folder / "result.json")["metrics"]
        reasons = [
            f"no {name}: {metrics[name]['reason']}"
            for name in self.settings.objectives
            if metrics[name]["value"] is None
        ]
        return ([], reasons[0]) if reasons else ([metrics[name]["value"] for name in self.settings.objectives], "")

    def _tell(self, job: Job, facts: dict[str, Any], values: list[float] | None, state: str) -> None:
        import optuna

        trial_id = self.running[job]
        for name, value in facts.items():
            self.storage.set_trial_user_attr(trial_id, name, value)
        self.storage.set_trial_state_values(trial_id, optuna.trial.TrialState[state], values)

    def _directions(self) -> list[str]:
        return ["minimize"] * len(self.settings.minimize) + ["maximize"] * len(self.settings.maximize)

    def _describe(self) -> None:
        """Write `sweep.yaml`, the description of the search, without the storage's URL, which may contain a password."""
        text = {
            "name": self.settings.name,
            "line": self.fixed,
            "objectives": self.settings.objectives,
            "directions": self._directions(),
            "trials": self.settings.trials,
            "space": {key: self.settings.space[key] for key in self.space},
            "data": self.cfg["choices"]["data"],
            "model": self.cfg["choices"]["model"],
            "has_journal": sweep_report.url(self.settings.storage) is None,
        }
        path = self.folder / sweep_report.DESCRIPTION
        replace_atomically(path, lambda temporary: OmegaConf.save(OmegaConf.create(text), temporary))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder, so that searches in the same folder take trials one after the other."""
        with open(self.folder / ".lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def is_hopeless(values: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """The median stopping rule (Golovin et al. 2017, Google Vizier): the best so far is worse than the median best."""
    bests = [min(other[: len(values)]) for other in others if len(other) >= len(values)]
    return len(bests) >= FROM and min(values) > statistics.median(bests)


def _refuse_to_fail_on(trials: Sequence[Any]) -> None:
    """Raise UserError if all of the first trials failed, because the others would fail too."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(ended) >= ENOUGH and all(trial.state.name == "FAIL" for trial in ended):
        reason = ended[-1].user_attrs.get("error", "")
        raise UserError(
            f"all of the first {len(ended)} trials failed, the last one so: {reason}; nothing more is tried"
        )


# -- who runs a trial --------------------------------------------------------------------------------------------------


def _owner() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": psutil.Process().create_time(),
        "beat": time.time(),
    }


def _is_running(trial: Any) -> bool:
    return trial.state.name == "RUNNING"


def _is_alive(trial: Any) -> bool:
    """Whether the search that started the trial still runs; on another machine, whether its last heartbeat is recent."""
    owner = trial.user_attrs
    if owner["host"] != socket.gethostname():
        return time.time() - owner["beat"] < SILENT
    try:
        return psutil.Process(owner["pid"]).create_time() == owner["since"]
    except psutil.NoSuchProcess:
        return False
