"""Several processes at once: in one run folder, in one second, on a full disk, in one group of ranks."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import train
from genarena.runs import checkpoint, results, status
from tests.faults.trial import Process, command, differences, finish, folder_of


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("trial", range(2))
def test_second_process(trial: int, whole: dict, tmp_path: Path) -> None:
    """a second process in a run folder ends in 5, the first is unharmed"""
    first = Process(command(tmp_path, "vae"), tmp_path / "first")
    wait_for(lambda: (folder := folder_of(tmp_path)) and folder.last.exists())
    second = Process(command(tmp_path, "vae", f"resume={folder_of(tmp_path).path}"), tmp_path / "second")
    assert second.wait() == 5, second.output
    assert f"is in use by process {first.pid} on" in second.output
    assert first.wait() == 0, first.output
    assert differences(whole["vae"][0], folder_of(tmp_path)) == []


@pytest.mark.parametrize("trial", range(2))
def test_eight_at_once(trial: int, tmp_path: Path) -> None:
    """eight launches in one second make eight folders"""
    more = ("budget.examples=16", "budget.validations=1", "metrics=[]")
    processes = [Process(command(tmp_path, "vae", *more), tmp_path / f"log{n}") for n in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    assert len(list(tmp_path.glob("digits/vae/*/result.json"))) == 8


@pytest.mark.parametrize("trial", range(3))
def test_full_disk(trial: int, whole: dict, tmp_path: Path) -> None:
    """a full disk: one line with path and size, exit code 2, the earlier checkpoint intact, resumed bitwise"""
    model = ("vae", "dcgan")[trial % 2]
    reference, _ = whole[model]

    def fills_up() -> None:
        """From the first or a later validation on no file may be as large as a checkpoint."""
        genuine, calls = checkpoint.save, []

        def save(content: dict, path: Path) -> None:
            calls.append(None)
            if len(calls) > 2 * trial:
                resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
            genuine(content, path)

        checkpoint.save = save

    process = Process(command(tmp_path, model), tmp_path / "log0", prepare=fills_up)
    assert process.wait() == 2, process.output
    folder = folder_of(tmp_path)
    line = next(line for line in process.output.splitlines() if line.startswith("error: "))
    assert f"{folder.checkpoints}/new.ckpt cannot be written: it needs" in line and "MB" in line
    assert "Traceback" not in process.output
    assert checkpoint.newest_sound(folder.last, set_aside=False) == (folder.last if trial else None)
    assert differences(reference, finish(tmp_path, model, tmp_path / "log")) == []


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_divergence(model: str, tmp_path: Path) -> None:
    """a run that diverges: exit code 3, nothing non-finite is kept, the row says so, again when it is resumed"""

    def explodes() -> None:
        import torch

        from genarena.models.base import GenerativeModel

        genuine = GenerativeModel.descend

        def descend(self: GenerativeModel, loss: torch.Tensor, *others: object) -> bool | None:
            return genuine(self, loss * float("nan") if self.batches_seen >= 7 else loss, *others)

        GenerativeModel.descend = descend

    arguments = command(tmp_path, model, "callbacks.max_skips=1", "callbacks.max_rollbacks=2")
    for resumed in (False, True):
        folder = folder_of(tmp_path)
        process = Process(
            [*arguments, *([f"resume={folder.path}"] if resumed else [])], tmp_path / "log", prepare=explodes
        )
        assert process.wait() == 3, process.output
        folder = folder_of(tmp_path)
        assert results.read_row(folder.result)["status"] == status.read(folder.path)["state"] == "diverged"
        for path in folder.checkpoints.glob("*.ckpt"):
            assert all(bool(value.isfinite().all()) for value in checkpoint.load(path)["state_dict"].values())


RANKS = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


def test_signal_to_ranks(tmp_path: Path) -> None:
    """a signal to a run of two processes: a checkpoint and the exit code within 30 s, resumed bitwise"""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert subprocess.run([sys.executable, train.__file__, *command(whole, "vae", *RANKS)]).returncode == 0
    process = subprocess.Popen([sys.executable, train.__file__, *command(parts, "vae", *RANKS)])
    wait_for(lambda: (folder := folder_of(parts)) and folder.previous.exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    folder = folder_of(parts)
    facts = status.read(folder.path)
    assert facts["state"] == "interrupted" and facts["checkpoint"] == facts["examples_seen"] < 16 * 24
    resumed = [sys.executable, train.__file__, *command(parts, "vae", *RANKS, f"resume={folder.path}")]
    assert subprocess.run(resumed).returncode == 0
    assert differences(folder_of(whole), folder) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "stopped"])
def test_rank(number: int, tmp_path: Path) -> None:
    """a dead or stopped rank: the job ends with an error within trainer.timeout"""
    limit = 20
    endless = ["budget.examples=1000000", "budget.validations=10000", f"trainer.timeout={limit}"]
    arguments = command(tmp_path, "vae", *RANKS, *endless)
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([sys.executable, train.__file__, *arguments], stdout=log, stderr=log)
    wait_for(lambda: (folder := folder_of(tmp_path)) and folder.last.exists())
    (rank,) = [child for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == "1"]
    os.kill(rank.pid, number)
    try:
        assert process.wait(limit + 40) == 1, (tmp_path / "log").read_text()
    finally:
        for child in (rank, psutil.Process(process.pid) if process.poll() is None else rank):
            if child.is_running():
                child.kill()
    assert status.read(folder_of(tmp_path).path)["state"] == "failed"
    checkpoint.verify(folder_of(tmp_path).last)
