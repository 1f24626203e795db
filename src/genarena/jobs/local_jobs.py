"""Jobs as local processes: their start and end, and the GPUs and cores of each. Imports no torch."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genarena.errors import printable
from genarena.jobs import warm
from genarena.jobs.echo import Echo
from genarena.jobs.fork_server import PARENT
from genarena.jobs.handle import Handle
from genarena.jobs.job import GRACE, Job
from genarena.jobs.warm import WarmHandle, WarmProcess
from genarena.startup import threads


class Processes:
    """Jobs as local processes, `slots` at a time; GPUs and cores are divided among the slots.

    Each slot has a warm process, from which its jobs are forked.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.warm: dict[int, WarmProcess] = {}
        self.is_forking = warm.is_possible()

    def start(self, job: Job, arguments: Sequence[str], slot: int) -> Handle:
        prefix = f"[{slot}] " if self.slots > 1 else ""
        print(printable(f"{prefix}{job.script.name} {' '.join(arguments)}"), flush=True)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.touch()
        echo = Echo(job.log, prefix)
        variables = {**threads.without_choice(dict(os.environ)), PARENT: str(os.getpid())}
        variables |= environment(slot, self.slots)

        def fresh() -> ProcessHandle:
            self.is_forking = False
            return ProcessHandle(_start(job.script, arguments, job.log, variables), echo)

        if not self.is_forking:
            return fresh()
        if slot not in self.warm or self.warm[slot].lost:
            self.warm[slot] = WarmProcess(variables)
        return WarmHandle(self.warm[slot], warm.job(job.script, arguments, job.log), echo, fresh)

    def attach(self, job: Job, slot: int) -> None:
        """None: jobs never outlive the command that started them."""

    def close(self) -> None:
        for process in self.warm.values():
            process.close()
        self.warm = {}


def _start(script: Path, arguments: Sequence[str], log: Path, variables: dict[str, str]) -> subprocess.Popen:
    """Start `python <script> <arguments>` in its own session."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=variables,
            start_new_session=True,
        )


class ProcessHandle:
    """A job in a fresh process with its own session, so that Ctrl-C reaches only the launcher, which passes it on once."""

    def __init__(self, process: subprocess.Popen, echo: Echo) -> None:
        self.process, self.echo = process, echo
        self.stopped = False

    def poll(self) -> int | None:
        code = self.process.poll()
        self.echo.show()
        return code

    def stop(self) -> None:
        if not self.stopped and self.process.poll() is None:
            self.stopped = True
            self.process.terminate()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def die_with_parent() -> None:
    """In a job: end, as on SIGTERM, when its parent has ended (the launcher; for other ranks, rank 0)."""
    if PARENT not in os.environ:
        return
    parent = int(os.environ[PARENT])
    os.environ[PARENT] = str(os.getpid())  # for ranks that this process starts
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)
    # Without rank 0, another rank would wait for ever, and it has nothing to write.
    grace = 5.0 if "LOCAL_RANK" in os.environ else GRACE

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


# -- what each gets ----------------------------------------------------------------------------------------------------


def gpus() -> list[str]:
    """Ids of the GPUs that this process may use, in the form of CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True).stdout
    return [str(index) for index, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def slots(trainer: dict[str, Any]) -> int:
    """The number of jobs that fit on the GPUs at a time; 1 if `trainer` uses the CPU or all GPUs."""
    devices = trainer.get("devices", 1)
    if trainer["accelerator"] == "cpu" or not isinstance(devices, int) or devices < 1:
        return 1
    return max(1, len(gpus()) // devices)


def environment(slot: int, slots: int) -> dict[str, str]:
    """Environment variables of the job in `slot`: its share of the GPUs and of the cores."""
    if slots == 1:
        return {}
    known, own = gpus(), {}
    if known:  # if there are more slots than GPUs, they share
        own["CUDA_VISIBLE_DEVICES"] = ",".join(known[slot::slots] or [known[slot % len(known)]])
    own[threads.SHARE] = str(max(1, threads.cores() // slots))
    return own
