"""As many threads as there are free cores, unless the user says how many."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genarena.startup import threads


class Loaded(threads.Load):
    """Others use so many cores."""

    def __init__(self, cores: float) -> None:
        super().__init__()
        self.taken = cores

    def cores(self) -> float:
        return self.taken


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*threads.OF_THE_USER, threads.CHOSEN, threads.SHARE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "affinity", lambda: set(range(8)))
    monkeypatch.setattr(threads, "_quota", lambda: float("inf"))
    monkeypatch.setattr(threads.psutil, "cpu_count", lambda logical: 8)
    monkeypatch.setattr(threads, "WINDOW", 0.0)


@pytest.mark.parametrize(
    ("taken", "number"), [(0.0, None), (0.2, None), (0.5, 7), (1.0, 7), (2.7, 5), (7.5, 1), (8.0, 1), (9.0, 1)]
)
def test_threads_are_free_cores(taken: float, number: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_load", Loaded(taken))
    assert threads.choose() == number
    assert os.environ.get("OMP_NUM_THREADS") == (number and str(number))
    assert not threads.set_by_user()
    assert threads.choose() == number  # asked again, its own choice is not taken for the user's
    monkeypatch.setattr(threads, "_load", Loaded(0.0))  # and the load may have turned out to be short
    assert threads.choose() == (number and 8)
    assert not {"OMP_NUM_THREADS", threads.CHOSEN} & os.environ.keys()


@pytest.mark.parametrize("name", threads.OF_THE_USER)
def test_a_number_of_the_user_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    monkeypatch.setattr(threads, "_load", Loaded(8.0))
    assert threads.choose() == (3 if name == "OMP_NUM_THREADS" else None)
    assert os.environ[name] == "3" and threads.CHOSEN not in os.environ and threads.set_by_user()


def test_a_container_a_launcher_and_hyperthreads_limit_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.cores() == 8
    monkeypatch.setattr(threads, "_quota", lambda: 3.5)
    assert threads.cores() == 3
    monkeypatch.setenv(threads.SHARE, "2")
    assert threads.cores() == 2 and threads.wanted(0.0) == 2 and threads.wanted(7.0) == 1
    monkeypatch.delenv(threads.SHARE)
    monkeypatch.setattr(threads, "_quota", lambda: 0.5)
    assert threads.cores() == 1
    monkeypatch.setattr(threads, "_quota", lambda: float("inf"))
    monkeypatch.setattr(threads.psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(threads, "_load", Loaded(2.0))
    assert threads.cores() == 4 and threads.choose() is None  # six of eight are free, and torch takes four by itself


def test_quotas_of_both_kinds_of_control_groups(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert threads._limit(tmp_path, first_version=False) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads._limit(tmp_path, first_version=False) == float("inf")
    (tmp_path / "cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert threads._limit(tmp_path, first_version=True) == 4.0
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads._limit(tmp_path, first_version=True) == float("inf")
    assert threads._limit(tmp_path / "absent", first_version=True) == float("inf")


def test_the_work_of_this_process_is_not_the_load_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([(100.0, 10.0), (103.0, 12.5)])
    monkeypatch.setattr(threads, "_busy_seconds", lambda: next(busy))
    load = threads.Load()
    monkeypatch.setattr(threads.time, "monotonic", lambda: load.began + 2.0)
    assert load.cores() == pytest.approx(0.25)  # 3 s were used in 2 s, 2.5 s of them here


def test_entry_points_choose_before_torch_is_imported() -> None:
    program = """
import os, sys
from genarena import cli
from genarena.startup import threads
threads.wanted = lambda taken: 1
threads._cores_of_torch = lambda: 2
def work():
    assert "torch" not in sys.modules and "OMP_NUM_THREADS" not in os.environ
    import torch
    assert os.environ["OMP_NUM_THREADS"] == "1" and torch.get_num_threads() == 1
cli.guard(work)
"""
    environment = {name: value for name, value in os.environ.items() if name not in threads.OF_THE_USER}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
