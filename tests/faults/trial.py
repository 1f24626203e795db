"""Real `train.py` processes that tests kill, stop and starve. They are forked, so that torch is imported only once."""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import train
from genarena import cli
from genarena.runs import status
from genarena.runs.checkpoint import load
from genarena.runs.folder import RunFolder

BATCH, BATCHES = 16, 24
SHARED_MEMORY = Path("/dev/shm")


def command(runs_dir: Path, model: str, *more: str) -> list[str]:
    """Arguments for 24 batches, averaged weights, and evaluation; validation and checkpoint after the first and after every
    second batch.
    """
    return [
        f"model={model}",
        "data=digits",
        "budget=smoke",
        f"budget.examples={BATCH * BATCHES}",
        "budget.num_val=16",
        "budget.validations=12",
        f"model.training.batch_size={BATCH}",
        "model.training.ema_decay=0.9",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        "metrics=[nearest_neighbour_ratio]",
        "budget.num_samples=16",
        "budget.num_test=16",
        f"runs_dir={runs_dir}",
        "trainer.precision=32-true",
        "logger=csv",
        *more,
    ]


class Process:
    """`python train.py <arguments>`."""

    def __init__(
        self, arguments: list[str], log: Path, tmpdir: Path | None = None, prepare: Callable[[], object] | None = None
    ) -> None:
        """prepare: called in the new process before training."""
        self.log, self.began = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _be_train(arguments, log, tmpdir, prepare)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def state(self, runs_dir: Path) -> str:
        """The state in `status.json`; "starting up" until this process has written it."""
        folder = folder_of(runs_dir)
        facts = status.read(folder.path) if folder else None
        return facts["state"] if facts and facts["pid"] == self.pid else "starting up"

    def wait(self, timeout: float = 240.0) -> int:
        """The exit code, or minus the number of the signal that ended it. After `timeout` s it is killed: TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            pid, ended = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.seconds = time.monotonic() - self.began
                return os.waitstatus_to_exitcode(ended)
            time.sleep(0.005)
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"still there after {timeout:g} s:\n{self.output}")

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


def _be_train(arguments: list[str], log: Path, tmpdir: Path | None, prepare: Callable[[], object] | None) -> None:
    """Run `train.py` in the forked child. Never returns."""
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if tmpdir:
            os.environ["TMPDIR"] = str(tmpdir)
        if prepare:
            prepare()
        sys.argv = ["train.py", *arguments]
        cli.start(train.main)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def fresh(arguments: list[str], log: Path) -> Process:
    """`python train.py <arguments>` in a new interpreter, which imports everything itself."""
    path = [sys.executable, str(Path(train.__file__)), *arguments]
    return Process([], log, prepare=lambda: os.execv(sys.executable, path))


def folder_of(runs_dir: Path) -> RunFolder | None:
    """The only run below `runs_dir`; None if the process ended before it made one."""
    found = [path for path in runs_dir.glob("digits/*/*") if (path / "config.yaml").is_file()]
    assert len(found) <= 1
    return RunFolder(found[0]) if found else None


def finish(runs_dir: Path, model: str, log: Path, tmpdir: Path | None = None) -> RunFolder:
    """Resume the run below `runs_dir`, or start one if there is none, and wait for its end."""
    folder = folder_of(runs_dir)
    process = Process(command(runs_dir, model, *([f"resume={folder.path}"] if folder else [])), log, tmpdir)
    assert process.wait() == 0, process.output
    return folder_of(runs_dir)


def differences(one: RunFolder, other: RunFolder) -> list[str]:
    """Names of tensors that differ bitwise between last, chosen and best checkpoints: weights, averages, optimiser states."""
    names = [name for name in ("last.ckpt", "chosen.ckpt", "best.ckpt") if (one.checkpoints / name).exists()]
    found = []
    for name in names:
        ours, theirs = (_tensors(load(folder.checkpoints / name), name) for folder in (one, other))
        found += sorted(ours.keys() ^ theirs.keys())
        found += [key for key in ours.keys() & theirs.keys() if not torch.equal(ours[key], theirs[key])]
    return found


def _tensors(value: object, prefix: str) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    skipped = ("callbacks", "loops")  # clocks and counters
    return {
        key: leaf
        for name, item in items
        if name not in skipped
        for key, leaf in _tensors(item, f"{prefix}/{name}").items()
    }


def moment(draw: random.Random, whole: float) -> float:
    """A random time, in seconds, from the start of a process that takes `whole` seconds to just after its end."""
    return draw.uniform(0.0, 1.02) * whole
