"""kill -9 at any moment, any number of times."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from genarena.runs import checkpoint
from tests.faults.conftest import MODELS
from tests.faults.trial import SHARED_MEMORY, Process, command, differences, finish, folder_of, fresh, moment

KILLS = 24


@pytest.mark.parametrize("trial", range(KILLS))
def test_kill(trial: int, whole: dict, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """kill -9, one to three times, at random moments, TMPDIR elsewhere: resumed bitwise, no file damaged"""
    draw, model = random.Random(trial), MODELS[trial % 2]
    reference, seconds = whole[model]
    tmpdir = SHARED_MEMORY / f"genarena-{tmp_path.name}" if trial % 4 < 2 and SHARED_MEMORY.is_dir() else None
    if tmpdir:
        tmpdir.mkdir(exist_ok=True)
    try:
        for number in range(draw.randint(1, 3)):
            folder = folder_of(tmp_path)
            arguments = command(tmp_path, model, *([f"resume={folder.path}"] if folder else []))
            process = Process(arguments, tmp_path / f"log{number}", tmpdir)
            time.sleep(moment(draw, seconds))
            request.node.user_properties.append(("while", process.state(tmp_path)))
            process.signal(signal.SIGKILL)
            assert process.wait() in (0, -signal.SIGKILL), process.output
            for path in tmp_path.glob("digits/*/*/checkpoints/*.ckpt"):
                checkpoint.verify(path)
        folder = finish(tmp_path, model, tmp_path / "log", tmpdir)
    finally:
        if tmpdir:
            shutil.rmtree(tmpdir)
    assert differences(reference, folder) == []
    logs = "".join(path.read_text(errors="replace") for path in tmp_path.glob("log*"))
    assert "is damaged" not in logs
    assert not list(folder.checkpoints.glob(".*")), "what a kill left half-written is swept away"


@pytest.mark.parametrize("trial", range(2))
def test_kill_of_a_fresh_interpreter(trial: int, whole: dict, tmp_path: Path) -> None:
    """kill -9 of a new interpreter, the imports included: resumed bitwise"""
    draw, model = random.Random(100 + trial), MODELS[trial % 2]
    reference, _ = whole[model]
    process = fresh(command(tmp_path, model), tmp_path / "log0")
    time.sleep(draw.uniform(0.0, 20.0))
    process.signal(signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL), process.output
    assert differences(reference, finish(tmp_path, model, tmp_path / "log")) == []
