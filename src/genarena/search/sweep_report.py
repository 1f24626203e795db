"""The state of a sweep: read from Optuna's storage, printed, and written to `trials.json` for the leaderboard page."""

import fcntl
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from genarena.errors import UserError
from genarena.files.atomic import replace_atomically

SWEEPS = "sweeps"  # below runs_dir: a folder per search
DESCRIPTION = "sweep.yaml"
JOURNAL = "journal.log"
TRIALS = "trials.json"  # read by the leaderboard page
STATES = {"COMPLETE": "done", "RUNNING": "running", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class Report:
    """trials: a record per trial. best: numbers of the best trial, or of the trials of the Pareto front."""

    description: dict[str, Any]
    trials: list[dict[str, Any]]
    best: list[int]
    importance: dict[str, dict[str, float]]  # objective -> option -> share

    @property
    def text(self) -> str:
        counts = {name: sum(trial["state"] == name for trial in self.trials) for name in STATES.values()}
        counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in ("done", "failed"))
        missing = self.description["trials"] - len(self.trials)
        about = self.description
        lines = [
            f"sweep {about['name']}: {about['model']} on {about['data']}: {len(self.trials)} of {about['trials']} trials: "
            f"{counted}{f', {missing} to come' if missing > 0 else ''}"
        ]
        lines += [
            f"  failed {trial['number']}: {trial['error']}  {_line(trial)}"
            for trial in self.trials
            if trial["state"] == "failed"
        ]
        best = [trial for trial in self.trials if trial["number"] in self.best]
        word = "best" if len(about["objectives"]) == 1 else "best (no other is better in all)"
        for trial in best:
            values = ", ".join(
                f"{name} {value:.5g}" for name, value in zip(about["objectives"], trial["values"], strict=True)
            )
            lines += [f"  {word}: {trial['number']}: {values}  {_line(trial)}", f"    {trial['run']}"]
        for name, shares in self.importance.items():
            lines.append(f"  importance for {name}: {', '.join(f'{key} {share:.0%}' for key, share in shares.items())}")
        return "\n".join(lines)


def url(storage: str | None) -> str | None:
    """The URL of the database; None: a journal file in the folder of the sweep."""
    return storage or os.environ.get("GENARENA_SWEEP_STORAGE") or None


def open_study(folder: Path, storage: str | None, directions: Sequence[str] | None = None) -> tuple[Any, Any]:
    """Optuna's storage, and the study of this folder in it; with `directions` it is created if missing. Raises UserError."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        opened = _storage(folder, url(storage))
        if directions is None:
            return opened, optuna.load_study(study_name=folder.name, storage=opened)
        study = optuna.create_study(study_name=folder.name, storage=opened, directions=directions, load_if_exists=True)
        return opened, study
    except KeyError as error:
        raise UserError(f"{folder}: the storage knows no such sweep (another one: storage=<url>)") from error
    except UserError:
        raise
    except Exception as error:  # SQLAlchemy and its drivers raise dozens of kinds; the URL may hold a password
        what = "sweep.storage" if url(storage) else folder / JOURNAL
        raise UserError(f"{what} cannot be opened: {type(error).__name__}") from error


def _storage(folder: Path, address: str | None) -> Any:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if address:
        return RDBStorage(address)
    path, lock = folder / JOURNAL, _KernelLock(folder / f".{JOURNAL}.lock")
    with lock.held():
        _drop_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path), lock))


class _KernelLock:
    """The lock of the journal. Optuna's own lock is a file; a killed process would leave it behind and block others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[str] | None = None

    def acquire(self) -> bool:
        self.file = self.path.open("a")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        self.file.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


def _drop_torn_line(path: Path) -> None:
    """Remove an incomplete last line, left by a kill or a full disk. Optuna would append to it and then fail to read it."""
    content = path.read_bytes() if path.is_file() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def counted(study: Any) -> list[Any]:
    """Optuna's trials, without the surplus ones that several machines began at the same time."""
    return [trial for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get("surplus")]


def report(folder: Path, study: Any, importance: bool = True) -> Report:
    """The state of the study, also written to `trials.json`. importance: compute the options' importance; takes a second."""
    about = OmegaConf.to_container(OmegaConf.load(folder / DESCRIPTION))
    trials = [_record(trial) for trial in counted(study)]
    done = [trial for trial in trials if trial["state"] == "done"]
    best = sorted(trial.number for trial in study.best_trials) if done else []
    made = Report(about, trials, best, _importance(study, about["objectives"], done) if importance else {})
    text = json.dumps({"sweep": about, "trials": trials, "best": best, "importance": made.importance}, indent=1)
    replace_atomically(folder / TRIALS, lambda temporary: temporary.write_text(text + "\n"))
    return made


def _record(trial: Any) -> dict[str, Any]:
    facts = trial.user_attrs
    return {
        "number": trial.number,
        "state": STATES[trial.state.name],
        "params": trial.params,
        "values": trial.values if trial.state.name == "COMPLETE" else None,
        "run": facts.get("run", ""),
        "error": facts.get("error", ""),
        "exit_code": facts.get("exit_code", 0),
        "seconds": facts.get("seconds"),
        "validation": facts.get("validation", []),
    }


def _importance(study: Any, objectives: Sequence[str], done: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Share of each option in the variance of each objective (fANOVA), largest first; {} for fewer than 4 trials."""
    import optuna

    if len(done) < 4:
        return {}
    found = {}
    for index, name in enumerate(objectives):
        if len({trial["values"][index] for trial in done}) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            shares = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial, i=index: trial.values[i]
            )
            found[name] = {key: round(float(share), 4) for key, share in shares.items()}
    return found


def _line(trial: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in trial["params"].items())


def shown(trial: Any) -> str:
    """The parameters of an Optuna trial in one line."""
    return _line({"params": trial.params})
