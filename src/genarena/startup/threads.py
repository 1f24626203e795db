"""How many threads torch computes with: as many as there are free cores. No torch here.

The threads of OpenMP wait for each other at the end of every operation, and do so by spinning. Where one of them shares its
core with another process, all of them wait for it: beside two busy processes on two cores, dcgan trains four times slower
with two threads than with one. The waiting policy does not mend this: with OMP_WAIT_POLICY=PASSIVE or GOMP_SPINCOUNT=0 it
trains twice as slow again, and on a free machine a third slower. So the policy stays, and the number of threads is chosen.

A number that the user has set (OMP_NUM_THREADS, MKL_NUM_THREADS) is never changed. On a free machine nothing is set, and torch
takes all cores.
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
CHOSEN = "GENARENA_THREADS"  # in the environment: OMP_NUM_THREADS was chosen here, not by the user
SHARE = "GENARENA_CORES"  # in the environment of a job: as many cores as its launcher gives to it
WINDOW = 0.2  # seconds over which the load is measured at least
SPARE = 0.25  # of a core: so much of it others may use while we still count it as free


class Load:
    """What other processes use of the cores that this one may use."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._before = _busy_seconds()

    @property
    def seconds(self) -> float:
        """How long it has been measured."""
        return time.monotonic() - self.began

    def cores(self) -> float:
        """The number of cores that the others used, on average over the time since this object was made."""
        everybody, own = (after - before for after, before in zip(_busy_seconds(), self._before, strict=True))
        return max(0.0, everybody - own) / max(self.seconds, 1e-3)


def start() -> None:
    """For an entry point: measure the load from now on, and choose the number of threads when torch is imported."""
    global _load
    _load = Load()
    if "torch" not in sys.modules and not any(isinstance(finder, _BeforeTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorch())


def choose() -> int | None:
    """The number of threads; it is in the environment too, for torch and for processes started later. None: torch's own.

    Asked again, it chooses again: the load has been measured for longer then.
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
    """Whether the environment holds a number of threads that was not chosen here."""
    return CHOSEN not in os.environ and any(name in os.environ for name in OF_THE_USER)


def wanted(taken: float) -> int:
    """The number of threads where others use so many cores: at most `cores()`, at least one."""
    free = math.floor(len(_affinity()) - taken + SPARE)
    return max(1, min(free, cores()))


def cores() -> int:
    """The number of cores that this process may use: affinity, the quota of its container, its share of a launcher's."""
    limits = [_cores_of_torch()]
    if math.isfinite(quota := _quota()):
        limits.append(max(1, math.floor(quota)))
    share = os.environ.get(SHARE, "")
    if share.isdecimal() and int(share):
        limits.append(int(share))
    return min(limits)


def without_choice(environment: dict[str, str]) -> dict[str, str]:
    """The environment for a process that chooses for itself."""
    dropped = (CHOSEN, OPENMP) if CHOSEN in environment else ()
    return {name: value for name, value in environment.items() if name not in dropped}


_load: Load | None = None  # since `start`


class _BeforeTorch(MetaPathFinder):
    """Finds nothing: the first import of torch asks it, as it asks every finder."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == "torch":
            sys.meta_path.remove(self)
            choose()


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cores_of_torch() -> int:
    """As many threads as torch takes by itself: two threads on one physical core gain nothing."""
    return min(len(_affinity()), psutil.cpu_count(logical=False) or len(_affinity()))


def _busy_seconds() -> tuple[float, float]:
    """Seconds that all processes have used of our cores, and seconds that this process and its ended children have used."""
    mine = _affinity()
    times = [each for core, each in enumerate(psutil.cpu_times(percpu=True)) if core in mine]
    kinds = ("user", "nice", "system", "irq", "softirq", "steal")
    return sum(getattr(each, kind, 0.0) for each in times for kind in kinds), sum(os.times()[:4])


def _quota() -> float:
    """Cores that the control groups of this process grant it; infinite where there is no limit."""
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
    """`quota / period` of one control group."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if first_version else ("cpu.max",)
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):  # not there, or "max"
        return math.inf
