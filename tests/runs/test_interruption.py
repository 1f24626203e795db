"""A signal at any moment: a checkpoint, the exit code, and the resumed run ends in the very same weights."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from genarena.config import compose
from genarena.models.base import GenerativeModel
from genarena.models.vae.vae import VAE
from genarena.run import run
from genarena.runs import interruption, results, status
from genarena.runs.checkpoint import load
from genarena.runs.folder import RunFolder
from genarena.runs.interruption import Interrupted
from genarena.training.callbacks.budget import Budget
from tests.run_folders import tensors, the_folder

ROOT = Path(__file__).parents[2]
BATCH = 16


def command(runs_dir: Path, *more: str) -> list[str]:
    """Eight batches, validated after one, two, four and eight; averaged weights, and the best on validation are chosen."""
    return [
        "model=vae",
        "data=digits",
        "budget=smoke",
        f"budget.examples={BATCH * 8}",
        "budget.num_val=8",
        f"model.training.batch_size={BATCH}",
        "model.training.ema_decay=0.9",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        "metrics=[]",
        f"runs_dir={runs_dir}",
        "trainer.precision=32-true",
        "logger=none",
        *more,
    ]


def same_weights(one: RunFolder, other: RunFolder) -> bool:
    """Bitwise, of all that is kept: weights, averages, optimisers; last, best, chosen."""
    parts = ("state_dict", "current_model_state", "averaging_state", "optimizer_states")
    for name in ("last.ckpt", "best.ckpt", "chosen.ckpt"):
        ours, theirs = (load(folder.checkpoints / name) for folder in (one, other))
        ours, theirs = (tensors({part: content.get(part, {}) for part in parts}) for content in (ours, theirs))
        if ours.keys() != theirs.keys() or not all(torch.equal(value, theirs[key]) for key, value in ours.items()):
            return False
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    runs_dir = tmp_path_factory.mktemp("whole")
    run(compose(command(runs_dir)))
    return the_folder(runs_dir)


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interruption, "GRACE", 600.0)  # on a busy machine the clock would end the tests
    with interruption.listening():
        yield
    interruption._State.first = None


def at_call(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, call: int, number: int = signal.SIGTERM) -> None:
    """This process gets a signal inside the n-th call of a method."""
    genuine, calls = getattr(owner, name), []

    def method(self: object, *arguments: object) -> object:
        calls.append(None)
        if len(calls) == call:
            assert signal.getsignal(number) is interruption._on_signal
            os.kill(os.getpid(), number)
        return genuine(self, *arguments)

    monkeypatch.setattr(owner, name, method)


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("owner", "method", "call", "seen", "validated"),
    [
        (Budget, "on_train_batch_end", 3, 3, 2),  # an ordinary step
        slow(Budget, "on_train_batch_end", 4, 4, 2),  # a step that a validation follows
        slow(Budget, "on_train_batch_end", 8, 8, 4),  # the last step
        slow(GenerativeModel, "validation_step", 1, 1, 0),  # the first validation
        (GenerativeModel, "validation_step", 4, 8, 4),  # the last validation
        (VAE, "sample", 3, 4, 2),  # the picture of a validation
    ],
)
def test_a_signal_saves_and_the_resumed_run_is_the_uninterrupted_one(
    owner: type,
    method: str,
    call: int,
    seen: int,
    validated: int,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listening: None,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:
        at_call(patch, owner, method, call)
        run(compose(command(tmp_path)))
    assert caught.value.exit_code == 143
    folder = the_folder(tmp_path)
    saved = load(folder.last)
    assert saved["arena"]["batches_seen"] == seen
    assert saved["callbacks"]["Checkpoints"]["validated"] == validated
    assert results.read_row(folder.result)["error"] == "interrupted (SIGTERM)"
    facts = status.read(folder.path)
    assert (facts["state"], facts["examples_seen"], facts["pid"]) == ("interrupted", seen * BATCH, os.getpid())
    interruption._State.first = None
    assert run(compose(command(tmp_path, f"resume={folder.path}")))["status"] == "ok"
    assert same_weights(folder, whole)
    assert status.read(folder.path)["state"] == "finished"


def test_an_evaluation_that_is_cut_short_is_made_again(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: None
) -> None:
    asked = "metrics=[nearest_neighbour_ratio]"
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="SIGHUP") as caught:
        at_call(patch, VAE, "sample", 5, signal.SIGHUP)  # after the pictures of four validations
        run(compose(command(tmp_path, asked)))
    assert caught.value.exit_code == 129
    folder = the_folder(tmp_path)
    assert same_weights(folder, whole)
    interruption._State.first = None
    row = run(compose(command(tmp_path, asked, f"resume={folder.path}")))
    assert row["metrics"]["nearest_neighbour_ratio"]["value"] > 0


PROGRAM = """
import hashlib, sys, time
from genarena import cli
from genarena.runs import interruption
interruption.GRACE = 2.0
def work():
    {work}
cli.guard(work)
"""
HOLDS = "with interruption.held(): print('ready', flush=True); [time.sleep(0.1) for _ in range({n})]; print('done', flush=True)"
HANGS = (
    "print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # foreign code that looks at nothing
)


@pytest.mark.parametrize(
    ("work", "number", "signals", "code", "words"),
    [
        (HOLDS.format(n=8), signal.SIGTERM, 1, 143, "error: interrupted (SIGTERM)\n"),
        (HOLDS.format(n=8), signal.SIGHUP, 1, 129, "error: interrupted (SIGHUP)\n"),
        (HOLDS.format(n=8), signal.SIGINT, 1, 130, "error: interrupted (SIGINT)\n"),
        (HOLDS.format(n=600), signal.SIGINT, 2, 130, "the second signal ends it at once"),
        (HANGS, signal.SIGTERM, 2, 143, "the second signal ends it at once"),
        (HANGS, signal.SIGTERM, 1, 143, "did not come to an end within 2 s"),
    ],
)
def test_held_work_is_finished_and_a_second_signal_or_the_clock_ends_it(
    work: str, number: int, signals: int, code: int, words: str
) -> None:
    program = [sys.executable, "-c", PROGRAM.format(work=work)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)  # until it is in the foreign code
    for _ in range(signals):
        process.send_signal(number)
        time.sleep(interruption.ECHO + 0.1 if signals > 1 else 0)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert words in errors and "Traceback" not in errors
    assert ("done" in out) == (signals == 1 and work != HANGS)


def test_a_signal_during_the_imports_ends_in_its_code(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", str(ROOT / "train.py"), *command(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "torch._" in line:  # in the middle of importing torch
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors[-500:]
    assert list(tmp_path.iterdir()) == []
