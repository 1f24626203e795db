"""Truncated and flipped checkpoints and seals."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from genarena.errors import Untrusted
from genarena.runs import checkpoint
from genarena.runs.folder import RunFolder
from tests.faults.conftest import MODELS
from tests.faults.trial import Process, command, differences, folder_of

DAMAGES = 52


@pytest.fixture(scope="session")
def halfway(whole: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Per model, the folder of runs of a run that was killed when it had written several checkpoints."""
    found = {}
    for model in MODELS:
        found[model] = tmp_path_factory.mktemp(f"halfway-{model}")
        process = Process(command(found[model], model), found[model] / "log")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            folder = folder_of(found[model])
            if folder and folder.previous.exists() and (folder.samples / "025.png").exists():
                break
            time.sleep(0.01)
        process.signal(signal.SIGKILL)
        process.wait()
        assert not folder.chosen.exists()
    return found


def damage(path: Path, draw: random.Random) -> bool:
    """Cut a file short or flip one of its bits; False where the flip hit the name in a seal, which says nothing."""
    content = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        path.write_bytes(content[: draw.randrange(64 if path.suffix == ".sha256" else len(content))])
        return True
    place = draw.randrange(len(content))
    content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return path.suffix != ".sha256" or place < 64


@pytest.mark.parametrize("trial", range(DAMAGES))
def test_damage(trial: int, whole: dict, halfway: dict, tmp_path: Path) -> None:
    """a truncation or bit flip in a checkpoint or a seal: back to the previous or the best with a warning, or exit code 4"""
    draw, model = random.Random(trial), MODELS[trial % 2]
    shutil.copytree(halfway[model] / "digits", tmp_path / "digits")
    folder = folder_of(tmp_path)
    there = [path.name for path in (folder.last, folder.previous, folder.best) if path.exists()]
    names = there[: 1 if draw.random() < 0.6 else draw.randint(2, len(there))]
    paths = [folder.checkpoints / draw.choice([name, f"{name}.sha256"]) for name in names]
    hurt = [damage(path, draw) for path in paths]
    process = Process(command(tmp_path, model, f"resume={folder.path}"), tmp_path / "log")
    code, output = process.wait(), process.output
    if all(hurt) and names == there:
        assert code == 4, output
        assert output.count("error: ") == 1 and all(str(folder.checkpoints / name) in output for name in names)
        assert not folder.chosen.exists()
        return
    assert code == 0, output
    assert ("warning: " in output and f"{folder.last} is damaged" in output) == hurt[0], output
    assert differences(whole[model][0], folder) == []


@pytest.mark.parametrize("trial", range(8))
def test_damaged_weights(trial: int, whole: dict, tmp_path: Path) -> None:
    """a truncation or bit flip in the evaluated weights: the same as safetensors, or exit code 4"""
    draw, (reference, _) = random.Random(1000 + trial), whole[MODELS[trial % 2]]
    shutil.copytree(reference.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    paths = [folder.chosen] if draw.random() < 0.5 else [folder.chosen, folder.safetensors]
    for path in paths:
        damage(path, draw)
    _, expected = reference.rebuild()
    if len(paths) == 2:
        with pytest.raises(Untrusted, match=r"chosen\.ckpt is damaged"):
            folder.rebuild()
        return
    _, model = folder.rebuild()
    state = expected.state_dict()
    assert all(bool((value == state[name]).all()) for name, value in model.state_dict().items())
    with pytest.raises(Untrusted):
        checkpoint.load(folder.chosen)
