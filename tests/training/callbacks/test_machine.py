"""A training says what the machine gave to it, at the end and while it happens."""

from pathlib import Path

import pytest

from genarena.ranks import calibration, machine
from genarena.runs.status import Status
from genarena.training.callbacks import machine as callback
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.machine import Machine
from tests.ranks.test_machine import System
from tests.training.callbacks.toy import Mean, fit


class Steps(Mean):
    """Each batch takes a second, of which the thread waits `wait`; a validation takes 100 and waits for all of them."""

    def __init__(self, system: System, wait: float) -> None:
        super().__init__()
        self.system, self.wait = system, wait

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        self.system.clock += 1.0
        self.system.cpu += 1.0 - self.wait
        self.system.waits["1"] += self.wait

    def validate(self, batch):
        self.system.clock += 100.0
        self.system.waits["1"] += 100.0
        return super().validate(batch)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    found = System(monkeypatch)
    monkeypatch.setattr(callback.time, "monotonic", lambda: found.clock)
    monkeypatch.setattr(machine, "load", lambda: 0.25)
    monkeypatch.setattr(calibration, "steady", lambda device, seconds: 50.0)
    monkeypatch.setattr(calibration, "best", lambda device, found: max(found))
    return found


def trained(system: System, wait: float, tmp_path: Path, minutes: float | None = 1.0, batches: int = 40) -> Machine:
    own = Machine("mean on toy", Status(None), minutes)
    fit(Steps(system, wait), [own, Budget(None, 8 * batches)], tmp_path, every=8)
    return own


def test_the_share_of_a_free_run(system: System, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = trained(system, 0.1, tmp_path)
    assert own.facts == {
        "cpu_share": 0.9,
        "waited": 0.1,
        "threads": 1,
        "load": [0.25, 0.25],
        "gflops": [50.0, 50.0],
        "starved": None,
    }
    assert own.status.facts["starved"] is None
    assert "starved" not in capsys.readouterr().err


def test_a_starved_run_says_so_while_it_happens(system: System, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = trained(system, 0.6, tmp_path)
    assert own.starved.startswith("it got 40% of the CPU time that it could use")
    assert own.status.facts["starved"] == own.starved
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("warning: mean on toy is starved: it got 40%")
    assert 1 < len(lines) <= 1 + system.clock / callback.AGAIN


def test_a_budget_that_counts_examples_does_not_depend_on_it(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = trained(system, 0.6, tmp_path, minutes=None)
    assert own.facts["gflops"] == [] and own.starved
    assert "starved" not in capsys.readouterr().err


def test_a_machine_at_half_its_speed(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "best", lambda device, found: 100.0)
    assert trained(system, 0.0, tmp_path).starved == "CPU at 50% of its speed: 50 of 100 GFLOP/s"


def test_a_resumed_run_adds_up(system: System, tmp_path: Path) -> None:
    first = trained(system, 0.5, tmp_path, batches=10)
    second = Machine("mean on toy", Status(None), 1.0)
    second.load_state_dict(first.state_dict())
    fit(Steps(system, 0.0), [second, Budget(None, 8 * 30)], tmp_path, every=8)
    assert second.facts["waited"] == pytest.approx(5.0 / 40.0)
    assert second.starved is None and len(second.speeds) == 4
