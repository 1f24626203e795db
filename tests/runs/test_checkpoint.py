"""Sealed files: whole or refused, whatever happens between two system calls."""

import os
import random
import resource
import subprocess
from pathlib import Path

import pytest
import torch

from genarena.errors import DiskFull, Untrusted
from genarena.runs import checkpoint, seals

CONTENT = {"state_dict": {"a": torch.arange(1000.0)}, "step": 3, "nested": [{"x": torch.ones(2)}]}


class Pickled:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.ckpt"
    checkpoint.save(CONTENT, path)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["state_dict"]["a"], CONTENT["state_dict"]["a"])
    assert (loaded["step"], names(path.parent)) == (3, {"a.ckpt", "a.ckpt.sha256"})
    done = subprocess.run(["sha256sum", "-c", "a.ckpt.sha256"], cwd=path.parent, capture_output=True, text=True)
    assert done.stdout == "a.ckpt: OK\n"


def test_weights_are_those_of_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    shared = torch.arange(6.0).reshape(2, 3)
    checkpoint.save_weights({"a": shared, "transposed": shared.T}, tmp_path / "w.safetensors")
    for loaded in (load_file(tmp_path / "w.safetensors"), checkpoint.load(tmp_path / "w.safetensors")["state_dict"]):
        assert torch.equal(loaded["transposed"], shared.T)


def test_every_truncation_and_flip_is_refused(tmp_path: Path) -> None:
    path, draw = tmp_path / "a.ckpt", random.Random(0)
    checkpoint.save(CONTENT, path)
    for damaged in (path, seals.seal(path)):
        whole = damaged.read_bytes()
        digits = range(64) if damaged.suffix == ".sha256" else range(len(whole))  # a name in a seal says nothing
        cut = [whole[: draw.choice(digits)] for _ in range(20)]
        flipped = [
            whole[:n] + bytes([whole[n] ^ 1 << draw.randrange(8)]) + whole[n + 1 :] for n in draw.choices(digits, k=40)
        ]
        for content in (b"", b"<html>", *cut, *flipped):
            damaged.write_bytes(content)
            for look in (checkpoint.load, checkpoint.verify):
                with pytest.raises(Untrusted, match=r"a\.ckpt is damaged"):
                    look(path)
        damaged.write_bytes(whole)
    checkpoint.load(path)


@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_pickle_is_never_executed(switch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", switch)
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {}, "hook": Pickled(tmp_path / "executed")}, path)
    checkpoint._install(path, path, seals.digest(path))  # sealed by whoever made it
    for look in (checkpoint.load, checkpoint.verify):
        with pytest.raises(Untrusted, match="holds more than tensors"):
            look(path)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(Untrusted, match="only local files are loaded"):
        checkpoint.load("http://localhost:9/a.ckpt")


def test_what_could_not_be_loaded_again_takes_no_place(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoint.save(CONTENT, path)
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoint.save({"hook": Path("x")}, path)
    assert checkpoint.load(path)["step"] == 3
    assert names(tmp_path) == {"a.ckpt", "a.ckpt.sha256"}


def test_going_back_names_the_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    new, old = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    assert checkpoint.newest_sound(new, old) is None
    checkpoint.save({"step": 1}, old)
    checkpoint.save({"step": 2}, new)
    assert checkpoint.newest_sound(new, old) == new
    with open(new, "rb+") as file:
        file.truncate(300)
    assert checkpoint.newest_sound(new, old, set_aside=False) == old
    assert new.exists()
    assert checkpoint.newest_sound(new, old) == old
    warning = capsys.readouterr().err
    assert f"warning: {new} is damaged" in warning and f"going back to {old}" in warning
    assert names(tmp_path) == {"last.ckpt.damaged", "previous.ckpt", "previous.ckpt.sha256"}
    old.write_bytes(b"")
    with pytest.raises(Untrusted, match=r"previous\.ckpt is damaged"):
        checkpoint.newest_sound(new, old)
    old.unlink()  # its seal tells that it was there
    with pytest.raises(Untrusted, match=r"previous\.ckpt cannot be read"):
        checkpoint.newest_sound(new, old)


@pytest.mark.parametrize("copy", [False, True])
def test_a_kill_between_any_two_steps_leaves_a_sound_file(
    copy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before its n-th change of the folder, for every n."""

    class Killed(BaseException):
        pass

    def dies_after(count: int) -> None:
        left = [count]
        for name in ("replace", "link", "fsync"):
            genuine = original[name]

            def step(*arguments: object, genuine: object = genuine) -> None:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return genuine(*arguments)

            monkeypatch.setattr(os, name, step)

    original = {name: getattr(os, name) for name in ("replace", "link", "fsync")}
    new, last = tmp_path / "new.ckpt", tmp_path / "last.ckpt"
    steps = 0
    while True:
        monkeypatch.undo()
        checkpoint.save({"step": 1}, last)
        dies_after(steps)
        try:
            checkpoint.save({"step": 2}, new)
            checkpoint.promote(new, last, copy)
            break
        except Killed:
            monkeypatch.undo()
            assert checkpoint.load(last)["step"] in (1, 2)
        steps += 1
    assert steps >= 12
    assert checkpoint.load(last)["step"] == 2


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoint.save(CONTENT, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFull) as caught:
            checkpoint.save({"step": 4, "large": torch.ones(1_000_000)}, path)
        with pytest.raises(DiskFull, match=r"w\.safetensors cannot be written: it needs 4\.000 MB"):
            checkpoint.save_weights({"large": torch.ones(1_000_000)}, tmp_path / "w.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{path} cannot be written: it needs 4.00" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert checkpoint.load(path)["step"] == 3
    assert names(tmp_path) == {"a.ckpt", "a.ckpt.sha256"}


def test_nothing_goes_through_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR on another file system, or none at all, must not matter."""
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    checkpoint.save(CONTENT, tmp_path / "a.ckpt")
    assert checkpoint.load(tmp_path / "a.ckpt")["step"] == 3
