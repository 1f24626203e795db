"""A job (one run of many): its command line, its composed configuration, its folder and its outcome. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from genarena import config
from genarena.errors import printable
from genarena.runs.past import EXACTLY, find_run, fingerprint

TRAIN = config.SOURCE / "scripts" / "train.py"  # in a checkout a link to train.py
GRACE = 60.0  # seconds that a job gets to write its checkpoint after SIGTERM


@dataclass(frozen=True, eq=False)
class Job:
    """One run: the overrides of its command line, its composed configuration, and the program."""

    overrides: tuple[str, ...]
    cfg: dict[str, Any]
    script: Path = TRAIN

    @property
    def name(self) -> str:
        return " ".join(self.overrides)

    @property
    def what(self) -> str:
        """What the job does, behind the name of its run."""
        return ""

    @property
    def log(self) -> Path:
        """The file of the job's output; if the job is started again, it is continued."""
        names = self.cfg["choices"]
        stem = f"{names['model']}-{names['data']}-seed{self.cfg['seed']}-{fingerprint(self.cfg)}"
        return Path(self.cfg["runs_dir"]) / ".jobs" / f"{stem}.log"

    @property
    def folder(self) -> Path | None:
        """The newest run folder of exactly this configuration."""
        return find_run(self.cfg, EXACTLY)


@dataclass(frozen=True)
class Outcome:
    """How a job ended. error: one line, empty if it finished. reused: it had ended in an earlier command."""

    job: Job
    exit_code: int
    folder: Path | None
    error: str = ""
    seconds: float = 0.0
    reused: bool = False

    @property
    def text(self) -> str:
        if self.exit_code:
            text = f"failed with exit code {self.exit_code}: {self.job.name}: {self.error} ({self.job.log})"
        else:
            text = f"{'finished before' if self.reused else f'finished in {self.seconds:.0f} s'}: {self.job.name}"
        return printable(text)


def jobs_of(overrides: Sequence[str]) -> list[Job]:
    """The jobs of a checked command line with lists of values: every combination, as with `-m`."""
    parsed = [OverridesParser.create().parse_override(text) for text in overrides if not is_of_launcher(text)]
    return [job_of(combination) for combination in BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]]


def job_of(overrides: Sequence[str]) -> Job:
    return Job(tuple(overrides), OmegaConf.to_container(config.compose(list(overrides)), resolve=True))


def is_of_launcher(override: str) -> bool:
    return override.lstrip("+").startswith(("launcher=", "launcher."))
