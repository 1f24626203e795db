"""SIGTERM, SIGINT and SIGHUP at random times."""

import random
import signal
import time
from pathlib import Path

import pytest

from genarena.runs import results, status
from tests.faults.conftest import MODELS
from tests.faults.trial import Process, command, differences, finish, folder_of, fresh, moment

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EACH = 5
LIMIT = 30.0  # seconds from the signal to the end


def check(process: Process, number: int, sent: float, runs_dir: Path) -> None:
    code = process.wait(LIMIT + 5.0)
    assert time.monotonic() - sent <= LIMIT
    if code == 0:  # it was done before
        return
    assert code == 128 + number, process.output
    assert process.output.count("error: interrupted") == 1 and "Traceback" not in process.output, process.output
    folder = folder_of(runs_dir)
    facts = status.read(folder.path) if folder else None
    if facts:
        assert facts["state"] == "interrupted"
        assert facts["checkpoint"] == facts["examples_seen"], "a checkpoint of the last step"
        assert results.read_row(folder.result)["status"] == "failed"


@pytest.mark.parametrize("trial", range(EACH))
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_signal(number: int, trial: int, whole: dict, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """a signal at a random moment: a checkpoint and the exit code within 30 s, resumed bitwise"""
    draw, model = random.Random(10 * number + trial), MODELS[trial % 2]
    reference, seconds = whole[model]
    process = Process(command(tmp_path, model), tmp_path / "log0")
    time.sleep(max(0.05, moment(draw, seconds)))  # the child has just been forked: not yet train.py
    request.node.user_properties.append(("while", process.state(tmp_path)))
    process.signal(number)
    check(process, number, time.monotonic(), tmp_path)
    assert differences(reference, finish(tmp_path, model, tmp_path / "log")) == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_signal_to_a_fresh_interpreter(number: int, whole: dict, tmp_path: Path) -> None:
    """a signal to a new interpreter, the imports included: the exit code within 30 s, resumed bitwise"""
    process = fresh(command(tmp_path, "vae"), tmp_path / "log0")
    time.sleep(random.Random(number).uniform(1.0, 15.0))
    process.signal(number)
    check(process, number, time.monotonic(), tmp_path)
    assert differences(whole["vae"][0], finish(tmp_path, "vae", tmp_path / "log")) == []
