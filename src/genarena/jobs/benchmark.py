"""A suite: models x data sets x seeds under one budget, as jobs of the launcher, shown in one view. No torch here."""

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

LISTS = ("seed", "data", "model")  # the last varies fastest, so that every member has a first seed early


def command(name: str, given: Sequence[str]) -> list[str]:
    """The checked command line that a suite stands for; an option that is `given` takes the place of the suite's."""
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
    """`conf/suite/<name>.yaml`. Raises UserError in one line when it is no suite."""
    path = config.file_of("suite", name)
    try:
        suite = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    wanted = {**dict.fromkeys((*LISTS, "options"), list), "budget": str}
    for key in suite:
        if key not in wanted:
            raise UserError(f"{path}: {key}: there is no such key{config.nearest(key, wanted)}")
    for key in wanted if "options" in suite else (*LISTS, "budget"):
        if not isinstance(suite.get(key), wanted[key]) or not suite[key]:
            raise UserError(f"{path}: {key}: expected {'a list' if wanted[key] is list else 'a name'}")
    return suite


def slots(overrides: Sequence[str], jobs: Sequence[Job]) -> tuple[launcher.Launcher, int]:
    """What runs the jobs, and how many at a time."""
    cfg = job_of([*jobs[0].overrides, *filter(is_of_launcher, overrides)]).cfg
    chosen = launcher.make(cfg["launcher"], cfg["trainer"])
    return chosen, chosen.slots


class View(launcher.Queue):
    """The jobs, and what a person wants to see of them: how far it is, what runs, when it ends.

    console: writes to a file object of its own, because `work` redirects `sys.stdout` to hide what jobs print.
    """

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
        """By the estimates, of what waits and what is left of what runs."""
        now = time.monotonic()
        left = sum(max(0.0, self.seconds.get(job, 0.0) - (now - began)) for job, began in list(self.running.items()))
        return (left + sum(self.seconds.get(job, 0.0) for job in list(self.waiting))) / self.num_slots

    def __rich__(self) -> Group:
        done, failed = len(self.outcomes), sum(bool(outcome.exit_code) for outcome in self.outcomes)
        head, rows = Table.grid(padding=(0, 1)), Table.grid(padding=(0, 2))
        texts = [Text(f"{done} of {self.total} runs"), Text(f"about {duration(self.seconds_left)} left")]
        texts += [Text(f"{failed} failed", style="red")] if failed else []
        head.add_row(ProgressBar(self.total, done, width=30), *texts)
        for job, began in list(self.running.items()):
            name = f"{job.cfg['choices']['model']} on {job.cfg['choices']['data']}, seed {job.cfg['seed']}"
            said = Text(_last_line(job), style="dim", no_wrap=True)
            rows.add_row(Text(name), Text(duration(time.monotonic() - began)), said)
        return Group(head, rows)


def _last_line(job: Job) -> str:
    """What the job printed last."""
    try:
        with job.log.open("rb") as file:
            file.seek(max(0, job.log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return printable(lines[-1]) if lines else ""


def work(view: View, chosen: launcher.Launcher) -> None:
    """Run the jobs of a view. On a terminal it is drawn over and over, and what jobs print goes to their logs alone."""
    if not view.console.is_terminal:
        launcher.work(view, chosen)
        return
    with (
        Live(get_renderable=view.__rich__, console=view.console, redirect_stdout=False),
        redirect_stdout(io.StringIO()),
    ):
        launcher.work(view, chosen)


def to_upload(runs_dir: str) -> str | None:
    """The line that uploads what offline W&B runs left; None where there is nothing."""
    pattern = "*/*/*/wandb/offline-run-*"
    waiting = [path for path in Path(runs_dir).glob(pattern) if not any(path.glob("*.synced"))]
    return f"wandb: {len(waiting)} to upload: wandb sync {shlex.quote(runs_dir)}/{pattern}" if waiting else None


def leaderboard(cfg: dict[str, Any], out: str) -> int:
    """Make the page of the runs beside one with the configuration `cfg`, in W&B too where they log to it; the exit code."""
    script = config.SOURCE / "scripts" / "leaderboard.py"
    logger = ["logger=wandb"] if cfg["logger"]["kind"] == "wandb" else []
    return subprocess.run(
        [sys.executable, str(script), f"runs_dir={cfg['runs_dir']}", f"out={out}", *logger]
    ).returncode
