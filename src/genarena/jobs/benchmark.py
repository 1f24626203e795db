"""A suite: models x data sets x seeds under one budget, run by the launcher and shown in one view. Imports no torch."""

import io
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from yaml import YAMLError

from genarena import config
from genarena.errors import UserError, printable
from genarena.jobs import launcher
from genarena.jobs.job import Job, Outcome, is_of_launcher, job_of
from genarena.jobs.preview import duration

LISTS = ("seed", "data", "model")  # the last varies fastest: all pairs get their first seed early
MAY_LACK = ("options", "tasks")


def command(name: str, given: Sequence[str]) -> list[str]:
    """The checked command line of a suite; options in `given` replace those of the suite. Raises UserError."""
    if name not in config.available("suite"):
        raise UserError(
            f"suite={name}: there is no such suite{config.nearest(name, config.available('suite'))}; "
            f"available: {', '.join(config.available('suite'))}"
        )
    suite = load(name)
    lines = [f"{key}={','.join(map(str, suite[key]))}" for key in LISTS]
    lines += [f"budget={suite['budget']}", f"runs_dir=runs/suites/{name}", *suite.get("options", [])]
    own = {text.lstrip("+").partition("=")[0]: text for text in lines}
    own |= {text.lstrip("+").partition("=")[0]: text for text in given}
    return config.check(list(own.values()))


def load(name: str) -> dict[str, Any]:
    """The content of `conf/suite/<name>.yaml`. Raises UserError, in one line, if it is no valid suite."""
    path = config.file_of("suite", name)
    try:
        suite = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    wanted = {**dict.fromkeys((*LISTS, *MAY_LACK), list), "budget": str}
    for key in suite:
        if key not in wanted:
            raise UserError(f"{path}: {key}: there is no such key{config.nearest(key, wanted)}")
    for key in (key for key in wanted if key in suite or key not in MAY_LACK):
        if not isinstance(suite.get(key), wanted[key]) or not suite[key]:
            raise UserError(f"{path}: {key}: expected {'a list' if wanted[key] is list else 'a name'}")
    return suite


def tasks(name: str, given: str | None = None) -> list[str]:
    """The lines of tasks of a suite, or those that are given, with semicolons between them."""
    return load(name).get("tasks", []) if given is None else [text for text in given.split(";") if text.strip()]


def slots(overrides: Sequence[str], jobs: Sequence[Job]) -> tuple[launcher.Launcher, int]:
    """The launcher of the jobs, and the number of jobs that it runs at a time."""
    cfg = job_of([*jobs[0].overrides, *filter(is_of_launcher, overrides)]).cfg
    chosen = launcher.make(cfg["launcher"], cfg["trainer"])
    return chosen, chosen.slots


class View(launcher.Queue):
    """The queue of jobs, drawn for a user: progress, running jobs, remaining time.

    counted: what the jobs are.
    console: writes to its own file object, because `work` redirects `sys.stdout` to hide the output of jobs.
    """

    counted = "runs"

    def __init__(self, jobs: Sequence[Job], seconds: dict[Job, float], num_slots: int, console: Console) -> None:
        super().__init__(jobs)
        self.seconds, self.num_slots, self.console = seconds, num_slots, console
        self.running: dict[Job, float] = {}

    def take(self) -> Job | None:
        job = super().take()
        if job is not None:
            self.running[job] = time.monotonic()
        return job

    def record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        del self.running[outcome.job]
        style = "red" if outcome.exit_code else ""
        self.console.print(
            f"[{len(self.outcomes)}/{self.total}] {outcome.text}", style=style, markup=False, soft_wrap=True
        )

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until all jobs have ended, running and waiting ones."""
        now = time.monotonic()
        left = sum(max(0.0, self.seconds.get(job, 0.0) - (now - began)) for job, began in list(self.running.items()))
        return (left + sum(self.seconds.get(job, 0.0) for job in list(self.waiting))) / self.num_slots

    def __rich__(self) -> Group:
        done, failed = len(self.outcomes), sum(bool(outcome.exit_code) for outcome in self.outcomes)
        head, rows = Table.grid(padding=(0, 1)), Table.grid(padding=(0, 2))
        texts = [Text(f"{done} of {self.total} {self.counted}"), Text(f"about {duration(self.seconds_left)} left")]
        texts += [Text(f"{failed} failed", style="red")] if failed else []
        head.add_row(ProgressBar(self.total, done, width=30), *texts)
        for job, began in list(self.running.items()):
            name = f"{job.cfg['choices']['model']} on {job.cfg['choices']['data']}, seed {job.cfg['seed']}{job.what}"
            said = Text(_last_line(job), style="dim", no_wrap=True)
            rows.add_row(Text(name), Text(duration(time.monotonic() - began)), said)
        return Group(head, rows)


def _last_line(job: Job) -> str:
    """The last line that the job printed."""
    try:
        with job.log.open("rb") as file:
            file.seek(max(0, job.log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return printable(lines[-1]) if lines else ""


def work(view: View, chosen: launcher.Launcher) -> None:
    """Run the jobs of a view. On a terminal the view is redrawn, and the output of jobs goes to their logs only."""
    if not view.console.is_terminal:
        launcher.work(view, chosen)
        return
    with (
        Live(get_renderable=view.__rich__, console=view.console, redirect_stdout=False),
        redirect_stdout(io.StringIO()),
    ):
        launcher.work(view, chosen)


def to_upload(runs_dir: str) -> str | None:
    """The command that uploads offline W&B runs; None if there are none."""
    pattern = "*/*/*/wandb/offline-run-*"
    waiting = [path for path in Path(runs_dir).glob(pattern) if not any(path.glob("*.synced"))]
    return f"wandb: {len(waiting)} to upload: wandb sync {shlex.quote(runs_dir)}/{pattern}" if waiting else None


def leaderboard(cfg: dict[str, Any], out: str) -> int:
    """Make the leaderboard page of the runs in cfg's runs_dir, also in W&B if the runs log there. Returns the exit code."""
    script = config.SOURCE / "scripts" / "leaderboard.py"
    logger = ["logger=wandb"] if cfg["logger"]["kind"] == "wandb" else []
    return subprocess.run(
        [sys.executable, str(script), f"runs_dir={cfg['runs_dir']}", f"out={out}", *logger]
    ).returncode
