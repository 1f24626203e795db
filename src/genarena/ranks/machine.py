"""What the machine gives to this process: how long its threads wait for a core that others use. Imports no torch.

CPU seconds alone tell little: a thread that waits for a file or a GPU uses none, and is not starved. Linux counts the time in
which a thread could run and no core was free for it (the second number of `/proc/<pid>/task/<thread>/schedstat`; a limit of
the control group counts too), and a hypervisor the time it gave to others (`steal`). Elsewhere the use of the cores by
others is measured.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from genarena.startup import threads

ENOUGH = 0.8  # share of what was free: with less, a run is starved
TASKS = Path("/proc/self/task")
NAMES = ("wall", "cpu", "thread_seconds", "waited", "stolen", "busy")


def load() -> float:
    """The processes that ran or wanted to run during the last minute, per core of the machine."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


class Meter:
    """Adds up what the process got while it ran between `start` and `stop`, which may be called many times.

    totals: in seconds: `wall`; `cpu`, of this process; `thread_seconds`, wall seconds times number of threads; `waited`, in
        which a thread wanted a core and had none; `stolen` by the hypervisor, of the `busy` ones of the machine. Also
        `threads`, the largest number.
    """

    def __init__(self) -> None:
        self.totals: dict[str, float] = dict.fromkeys((*NAMES, "threads"), 0.0)
        self._running = False

    def start(self) -> None:
        """Begin to measure; without effect while it runs."""
        if not self._running:
            self._running = True
            self._before = _reading()
            self._load = None if self._before[1] else threads.Load()

    def stop(self, num_threads: int) -> None:
        """Count the time since `start`, in which `num_threads` threads worked; without effect while it does not run."""
        if not self._running:
            return
        self._running = False
        clock, waits, machine = _reading()
        before, waits_before, machine_before = self._before
        wall, cpu = clock[0] - before[0], clock[1] - before[1]
        waited = sum(max(0.0, seconds - waits_before.get(thread, 0.0)) for thread, seconds in waits.items())
        if self._load is not None:
            waited = without_schedstat(wall, cpu, num_threads, self._load.cores())
        spent = wall, cpu, wall * num_threads, waited, *(b - a for a, b in zip(machine_before, machine, strict=True))
        for name, seconds in zip(NAMES, spent, strict=True):
            self.totals[name] += seconds
        self.totals["threads"] = max(self.totals["threads"], num_threads)


def without_schedstat(wall: float, cpu: float, num_threads: int, taken: float) -> float:
    """An estimate of the seconds that threads waited: not more than they did not use, nor than others took of their cores.

    taken: number of cores that others used. All others are seconds.
    """
    wanted = max(0.0, taken + num_threads - len(threads.affinity())) * wall
    return min(max(0.0, num_threads * wall - cpu), wanted)


def granted(totals: Mapping[str, float]) -> float:
    """The share of what was free that a process got, in [0, 1]; 1 for one that did not run.

    Threads that work on one operation wait for the slowest of them, so the waits of all threads add up. A thread given up
    because others used its core is lost, too.
    """
    if not totals["wall"]:
        return 1.0
    running = 1.0 - min(1.0, totals["waited"] / totals["wall"])
    owned = 1.0 - totals["stolen"] / totals["busy"] if totals["busy"] else 1.0
    return running * owned * totals["thread_seconds"] / (totals["wall"] * totals["threads"])


def difference(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """The totals of the time between two moments."""
    return {name: value - before[name] if name != "threads" else value for name, value in now.items()}


def _reading() -> tuple[tuple[float, float], dict[str, float], tuple[float, float]]:
    """Wall and CPU seconds; the waits of each thread; stolen and busy seconds of the machine."""
    times = psutil.cpu_times()
    stolen = getattr(times, "steal", 0.0)
    busy = sum(getattr(times, kind, 0.0) for kind in threads.KINDS)
    return (time.perf_counter(), time.process_time()), _waits(), (stolen, busy)


def _waits() -> dict[str, float]:
    """Thread of this process -> seconds that it waited for a core; {} where the system does not count them."""
    found = {}
    for task in TASKS.iterdir() if TASKS.is_dir() else ():
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # it has just ended
            continue
    return found
