"""Damaged checkpoints of a run: back to the one before, with a warning; none left is exit code 4, never a new start."""

import shutil
from pathlib import Path

import pytest
import torch

from genarena.config import compose
from genarena.errors import DiskFull, Untrusted
from genarena.run import run
from genarena.runs import checkpoint, results, status
from genarena.runs.checkpoint import load
from genarena.runs.folder import RunFolder
from genarena.training.callbacks.budget import Budget


def command(runs_dir: Path, *more: str) -> list[str]:
    return [
        "model=made",
        "data=digits",
        "budget=smoke",
        "budget.examples=192",
        "budget.validations=6",
        "model.training.batch_size=32",
        "metrics=[]",
        "logger=none",
        "callbacks.progress=false",
        "callbacks.grid_size=1",
        f"runs_dir={runs_dir}",
        *more,
    ]


def folder_of(runs_dir: Path) -> RunFolder:
    (path,) = runs_dir.glob("digits/*/*")
    return RunFolder.open(path)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run whose first checkpoint found no room nothing is missed: it starts again."""
    genuine, left = checkpoint.save, [0]

    def save(content: dict, path: Path) -> None:
        if not left[0]:
            raise DiskFull(f"{path} cannot be written")
        left[0] -= 1
        genuine(content, path)

    monkeypatch.setattr(checkpoint, "save", save)
    more: list[str] = []
    for count in (0, 2):
        left[0] = count
        with pytest.raises(DiskFull):
            run(compose(command(tmp_path, *more)))
        folder = folder_of(tmp_path)
        assert status.read(folder.path)["checkpoint"] == 32 * count
        assert results.read_row(folder.result)["error"].endswith("new.ckpt cannot be written")
        more = [f"resume={folder.path}"]
    assert load(folder.last)["arena"]["batches_seen"] == 2
    shutil.rmtree(folder.checkpoints)
    with pytest.raises(Untrusted, match="had written checkpoints, and they are gone"):
        run(compose(command(tmp_path, *more)))


def test_a_damaged_newest_checkpoint_costs_one_step_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run(compose(command(tmp_path / "whole")))
    step = Budget.on_train_batch_end

    def killed(self: Budget, *arguments: object) -> None:
        step(self, *arguments)
        if self.examples_seen >= 5 * 32:
            raise InterruptedError("killed")

    monkeypatch.setattr(Budget, "on_train_batch_end", killed)
    with pytest.raises(InterruptedError):
        run(compose(command(tmp_path / "parts")))
    monkeypatch.undo()
    folder = folder_of(tmp_path / "parts")
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    with open(folder.last, "rb+") as file:
        file.seek(folder.last.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 4]))
    kept = folder.previous.read_bytes()
    row = run(compose(command(tmp_path / "parts", f"resume={folder.path}")))
    assert row["status"] == "ok"
    assert f"warning: {folder.last} is damaged" in capsys.readouterr().err
    assert (folder.checkpoints / "last.ckpt.damaged").exists()
    whole = folder_of(tmp_path / "whole")
    for name in ("last.ckpt", "chosen.ckpt"):
        found, expected = (load(f.checkpoints / name)["state_dict"] for f in (folder, whole))
        assert all(torch.equal(value, found[key]) for key, value in expected.items())
    assert len(kept) and load(folder.previous)["arena"]["batches_seen"] == 5

    for path in (folder.last, folder.previous):
        path.write_bytes(path.read_bytes()[:1000])
    assert run(compose(command(tmp_path / "parts", f"resume={folder.path}")))["status"] == "ok"
    said = capsys.readouterr()
    assert f"going back to {folder.best}" in said.err and f"resume: goes on from {folder.best}" in said.out

    folder.best.write_bytes(folder.best.read_bytes()[:1000])  # the others were set aside
    with pytest.raises(Untrusted, match=r"best\.ckpt is damaged"):
        run(compose(command(tmp_path / "parts", f"resume={folder.path}")))
    assert folder.best.stat().st_size == 1000  # nothing was started again
