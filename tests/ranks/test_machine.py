"""How much of the free machine a process got: readings of a system that are known, and those of this one."""

import os
from pathlib import Path

import pytest

from genarena.ranks import machine
from genarena.ranks.machine import Meter, difference, granted, without_schedstat
from genarena.startup import threads


class System:
    """A system whose counters a test moves by hand, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.cpu, self.waits, self.stolen, self.busy = 0.0, 0.0, {"1": 0.0}, 0.0, 0.0
        reading = lambda: ((self.clock, self.cpu), dict(self.waits), (self.stolen, self.busy))  # noqa: E731
        monkeypatch.setattr(machine, "_reading", reading)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


def after(system: System, num_threads: int = 1, **changes: object) -> float:
    """The share that was granted in ten seconds with these changes of the counters."""
    meter = Meter()
    meter.start()
    system.clock += 10.0
    for name, value in changes.items():
        setattr(system, name, value)
    meter.stop(num_threads)
    return granted(meter.totals)


def test_a_core_shared_with_another_process_is_half_a_core(system: System) -> None:
    assert after(system, cpu=5.0, waits={"1": 5.0}) == pytest.approx(0.5)


def test_waiting_for_a_file_is_not_starvation(system: System) -> None:
    assert after(system, cpu=1.0) == 1.0


def test_two_threads_are_as_late_as_the_one_that_waits(system: System) -> None:
    """The other spins meanwhile: it has used all of its core, 15 CPU seconds of 20 together."""
    assert after(system, num_threads=2, cpu=15.0, waits={"1": 0.0, "2": 5.0}) == pytest.approx(0.5)


def test_waits_of_threads_cannot_cost_more_than_all(system: System) -> None:
    assert after(system, num_threads=2, cpu=4.0, waits={"1": 8.0, "2": 8.0}) == 0.0


def test_time_that_the_hypervisor_gave_to_others(system: System) -> None:
    assert after(system, cpu=10.0, stolen=3.0, busy=12.0) == pytest.approx(0.75)


def test_a_thread_that_was_given_up_counts_as_lost(system: System) -> None:
    meter = Meter()
    for num_threads in (2, 1):
        meter.start()
        system.clock += 10.0
        meter.stop(num_threads)
    assert meter.totals["threads"] == 2
    assert granted(meter.totals) == pytest.approx(0.75)


def test_only_the_time_between_start_and_stop_counts(system: System) -> None:
    meter = Meter()
    meter.start()
    system.clock += 10.0
    meter.stop(1)
    system.clock, system.waits = 50.0, {"1": 40.0}  # a validation
    meter.stop(1)
    meter.start()
    meter.start()
    system.clock += 10.0
    meter.stop(1)
    assert (meter.totals["wall"], meter.totals["waited"]) == (20.0, 0.0)
    before = dict(meter.totals)
    meter.start()
    system.clock, system.waits = system.clock + 10.0, {"1": 45.0}
    meter.stop(1)
    assert granted(difference(meter.totals, before)) == pytest.approx(0.5)
    assert granted(meter.totals) == pytest.approx(25 / 30)


def test_nothing_is_said_about_a_run_that_did_not_run() -> None:
    assert granted(Meter().totals) == 1.0


def test_waits_are_those_of_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TASKS", tmp_path)
    for name, waited in (("10", 1), ("11", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(f"5000000000 {waited}000000000 17\n")
    (tmp_path / "12").mkdir()  # has ended meanwhile
    assert machine._waits() == {"10": 1.0, "11": 2.0}
    meter = Meter()
    meter.start()
    (tmp_path / "10" / "schedstat").write_text("5000000000 1500000000 17\n")
    (tmp_path / "11" / "schedstat").unlink()
    (tmp_path / "12" / "schedstat").write_text("0 250000000 1\n")  # a new thread
    meter.stop(2)
    assert meter.totals["waited"] == pytest.approx(0.75)


def test_without_the_counters_of_threads_others_must_have_taken_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "affinity", lambda: {0, 1})
    assert without_schedstat(10.0, 6.0, 1, taken=1.0) == 0.0  # the other core was free: it waited for a file
    assert without_schedstat(10.0, 5.0, 1, taken=2.0) == pytest.approx(5.0)
    assert without_schedstat(10.0, 15.0, 2, taken=0.5) == pytest.approx(5.0)
    assert without_schedstat(10.0, 20.0, 2, taken=1.0) == 0.0
    monkeypatch.setattr(machine, "TASKS", tmp_path / "missing")
    monkeypatch.setattr(threads.Load, "cores", lambda self: 9.0)
    meter = Meter()
    meter.start()
    meter.stop(1)
    assert 0.0 <= meter.totals["waited"] <= meter.totals["wall"]


def test_this_system_is_read() -> None:
    (wall, cpu), waits, (stolen, busy) = machine._reading()
    assert cpu > 0.0 and busy > stolen >= 0.0 and wall > 0.0
    assert not waits or str(os.getpid()) in waits
    assert machine.load() >= 0.0
