"""Measures the speed of whole commands: the start of a run, and training beside busy processes. Imports no torch.

It runs real `python train.py` processes one after the other; the machine should do nothing else.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.jobs.job import TRAIN
from genarena.startup import threads

NUM_LOOPS = 2  # busy processes beside a run
LOOP = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass"
DCGAN = ("model=dcgan", "data=digits", "budget=cpu_1min", "metrics=[sampling_seconds]", "callbacks.progress=false")
SMALL = ("data=digits", "budget=smoke", "callbacks.progress=false")


def start_time(num_rounds: int = 3) -> str:
    """CPU seconds of `import torch`, of the smallest run, and of three such runs in one command."""
    commands = {
        "torch": [sys.executable, "-c", "import torch"],
        "run": [sys.executable, str(TRAIN), "model=uniform", *SMALL],
        "sweep": [sys.executable, str(TRAIN), "-m", "model=uniform,gaussian,memoriser", *SMALL],
    }
    used = {name: [] for name in commands}
    for _ in range(num_rounds):
        for name, command in commands.items():
            used[name].append(_cpu_seconds(command))
    torch, run, sweep = (min(times) for times in used.values())
    shown = f"model=uniform {' '.join(SMALL)} {run:.2f} s, {run / torch:.2f}x (at most 2.2)"
    sweep = f"-m with three models {sweep:.2f} s"
    return f"start_time: import torch {torch:.2f} s, {shown}, {sweep} (CPU time, least of {num_rounds})"


def busy_machine(minutes: float = 0.25, num_rounds: int = 2) -> str:
    """Examples seen by a run with the default number of threads, with one, and with all cores; alone and beside busy loops."""
    choices = {"default": None, "one thread": "1", "all cores": str(threads.cores())}
    lines = []
    for num_loops in (0, NUM_LOOPS):
        seen = dict.fromkeys(choices, 0)
        with _busy_loops(num_loops):
            for _ in range(num_rounds):
                for name, number in choices.items():
                    seen[name] += _examples(minutes, number)
        ratios = ", ".join(f"{seen['default'] / seen[name]:.2f} of {name}" for name in ("one thread", "all cores"))
        counts = ", ".join(f"{name} {count:,}" for name, count in seen.items())
        lines.append(
            f"{f'beside {num_loops} busy loops' if num_loops else 'alone'}: {counts} examples: default is {ratios}"
        )
    shown = " ".join([*DCGAN, f"budget.minutes={minutes}"])
    return "\n  ".join([f"busy_machine: train.py {shown}, {num_rounds} times each, in alternation", *lines])


@contextmanager
def _busy_loops(number: int) -> Iterator[None]:
    """`number` processes that compute without pause inside this context; they end by themselves after ten minutes."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _examples(minutes: float, number: str | None) -> int:
    """Examples that dcgan has seen after `minutes`, with `number` threads."""
    with tempfile.TemporaryDirectory() as folder:
        options = [*DCGAN, f"budget.minutes={minutes}", f"runs_dir={folder}"]
        subprocess.run(
            [sys.executable, str(TRAIN), *options], env=_variables(number), check=True, stdout=subprocess.PIPE
        )
        (row,) = Path(folder).glob("*/*/*/result.json")
        return json.loads(row.read_text())["cost"]["examples_seen"]


def _cpu_seconds(command: list[str]) -> float:
    """User and system time of a command and its child processes, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        arguments = [*command, f"runs_dir={folder}"] if str(TRAIN) in command else command
        subprocess.run(arguments, env=_variables(None), check=True, stdout=subprocess.PIPE)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _variables(number: str | None) -> dict[str, str]:
    """The environment with a number of threads; None: without one."""
    kept = {name: value for name, value in os.environ.items() if name not in (*threads.OF_THE_USER, threads.CHOSEN)}
    return kept if number is None else kept | {threads.OPENMP: number}
