"""Chooses the number of threads of torch: the number of free cores. Nothing here imports torch.

OpenMP's threads wait for each other at the end of every operation, by spinning. If one of them shares its core with another
process, all wait for it: beside two busy processes on two cores, dcgan trains four times slower with two threads than with
one. Another waiting policy does not help: with OMP_WAIT_POLICY=PASSIVE or GOMP_SPINCOUNT=0 it is still twice as slow, and on
a free machine a third slower. So the policy is not changed, but the number of threads is.

A number set by the user (OMP_NUM_THREADS, MKL_NUM_THREADS) is never changed. On a free machine nothing is set, and torch
uses all cores.
"""

import math
import os
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path

import psutil

OPENMP = "OMP_NUM_THREADS"
OF_THE_USER = (OPENMP, "MKL_NUM_THREADS")
CHOSEN = "GENARENA_THREADS"  # environment variable: set if OMP_NUM_THREADS was chosen here, not by the user
SHARE = "GENARENA_CORES"  # environment variable: the number of cores that a launcher gives to a job
WINDOW = 0.2  # shortest time over which the load is measured, in seconds
SPARE = 0.25  # largest share of a core that others may use while it counts as free
KINDS = ("user", "nice", "system", "irq", "softirq", "steal")  # of the time of a core that works


class Load:
    """Measures how much of this process's cores other processes use."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._before = _busy_seconds()

    @property
    def seconds(self) -> float:
        """Seconds since the measurement began."""
        return time.monotonic() - self.began

    def cores(self) -> float:
        """The number of cores that other processes used, on average since this object was made."""
        everybody, own = (after - before for after, before in zip(_busy_seconds(), self._before, strict=True))
        return max(0.0, everybody - own) / max(self.seconds, 1e-3)


def start() -> None:
    """Start measuring the load, and choose the number of threads when torch is imported. For entry points."""
    global _load
    _load = Load()
    if "torch" not in sys.modules and not any(isinstance(finder, _BeforeTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorch())


def choose() -> int | None:
    """Choose the number of threads and set it in the environment, for torch and for child processes. None: torch's default.

    A second call chooses again, from a longer measurement of the load.
    """
    if set_by_user():
        text = os.environ.get(OPENMP, "").split(",")[0]
        return int(text) if text.isdecimal() else None
    load = _load or Load()
    time.sleep(max(0.0, WINDOW - load.seconds))
    number = wanted(load.cores())
    if number >= _cores_of_torch():
        chosen_before = os.environ.pop(CHOSEN, None)
        if chosen_before is not None:
            del os.environ[OPENMP]
        return None if chosen_before is None else number
    os.environ[OPENMP] = os.environ[CHOSEN] = str(number)
    return number


def set_by_user() -> bool:
    """Whether the environment has a number of threads that was set by the user."""
    return CHOSEN not in os.environ and any(name in os.environ for name in OF_THE_USER)


def wanted(taken: float) -> int:
    """The number of threads if other processes use `taken` cores: from one to `cores()`."""
    free = math.floor(len(affinity()) - taken + SPARE)
    return max(1, min(free, cores()))


def cores() -> int:
    """The number of cores that this process may use: the least of its affinity, its container's quota, its job's share."""
    limits = [_cores_of_torch()]
    if math.isfinite(quota := _quota()):
        limits.append(max(1, math.floor(quota)))
    share = os.environ.get(SHARE, "")
    if share.isdecimal() and int(share):
        limits.append(int(share))
    return min(limits)


def without_choice(environment: dict[str, str]) -> dict[str, str]:
    """The environment without the number chosen here, for a process that chooses its own."""
    dropped = (CHOSEN, OPENMP) if CHOSEN in environment else ()
    return {name: value for name, value in environment.items() if name not in dropped}


_load: Load | None = None  # since `start`


class _BeforeTorch(MetaPathFinder):
    """An import hook that finds nothing, but calls `choose` before the first import of torch."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == "torch":
            sys.meta_path.remove(self)
            choose()


def affinity() -> set[int]:
    """The numbers of the cores on which this process may run."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cores_of_torch() -> int:
    """The number of threads that torch uses by default: one per physical core."""
    return min(len(affinity()), psutil.cpu_count(logical=False) or len(affinity()))


def _busy_seconds() -> tuple[float, float]:
    """CPU seconds that all processes have used on our cores, and those of this process and its ended children."""
    mine = affinity()
    times = [each for core, each in enumerate(psutil.cpu_times(percpu=True)) if core in mine]
    return sum(getattr(each, kind, 0.0) for each in times for kind in KINDS), sum(os.times()[:4])


def _quota() -> float:
    """The number of cores that this process's control groups allow; infinite without a limit."""
    limits = [math.inf]
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    for _, kinds, path in (line.split(":", 2) for line in lines):
        if kinds and "cpu" not in kinds.split(","):
            continue
        root = Path("/sys/fs/cgroup") / ("cpu" if kinds else "")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            limits.append(_limit(folder, bool(kinds)))
            if folder == root:
                break
    return min(limits)


def _limit(folder: Path, first_version: bool) -> float:
    """`quota / period` of one control group; infinite if it has no limit."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if first_version else ("cpu.max",)
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf
