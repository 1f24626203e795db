"""Parts of a run folder that lead out of it are refused by name; nothing behind them is read, written or removed."""

import os
from pathlib import Path

import pytest

from genarena.errors import Untrusted
from genarena.runs import checkpoint
from genarena.runs.folder import RunFolder
from genarena.runs.lock import locked

PARTS = [
    "checkpoints",
    "samples",
    "evaluations",
    "wandb",
    "tensorboard",
    "config.yaml",
    "result.json",
    "result.json.sha256",
    "status.json",
    "metrics.csv",
    ".lock",
    "checkpoints/last.ckpt",
    "checkpoints/.last.ckpt.7",
    "samples/final.png",
    "wandb/id",
]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_leads_out_is_refused_by_name(part: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("mine")
    folder = tmp_path / "run"
    (folder / part).parent.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: {}")
    (folder / part).unlink(missing_ok=True)
    is_folder = "." not in part and part != "wandb/id"
    (folder / part).symlink_to(home if is_folder else home / ".bashrc")
    with pytest.raises(Untrusted, match=f"{part} is a link that leads out of its run folder") as refused:
        RunFolder.open(folder)
    assert refused.value.exit_code == 4 and "\n" not in str(refused.value)
    assert os.listdir(home) == [".bashrc"] and (home / ".bashrc").read_text() == "mine"


def test_a_run_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("model: {}")
    (tmp_path / "run" / "latest").symlink_to("checkpoints")
    (tmp_path / "name").symlink_to("run")
    assert RunFolder.open(tmp_path / "name").path == tmp_path / "name"


def test_a_lock_is_not_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(Untrusted, match="lock is a link"), locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "made").exists()


def test_the_sweep_removes_temporary_files_of_checkpoints_alone(tmp_path: Path) -> None:
    own = {".last.ckpt.123", ".last.ckpt.sha256.123", ".chosen.safetensors.9", "new.ckpt", "new.ckpt.sha256"}
    others = {".bashrc", ".profile", ".ssh", ".last.ckpt", ".last.ckpt.bak", ".a.b.ckpt.1", "last.ckpt", ".1"}
    for name in own | others:
        (tmp_path / name).write_text("x")
    (tmp_path / ".previous.ckpt.5").mkdir()
    checkpoint.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others | {".previous.ckpt.5"}
