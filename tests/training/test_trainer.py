"""What the trainer's options may be together; how a network was trained is in the row, and is no other result."""

import os
from pathlib import Path

import pytest

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.models.baseline.uniform import Uniform
from genarena.ranks import world
from genarena.run import run
from genarena.spec import DataSpec
from genarena.training import trainer
from genarena.training.callbacks.checkpoints import SealedCheckpointIO
from tests.two_processes import overrides

NODE = {"accelerator": "cpu", "strategy": None, "devices": 1, "srun": False, "timeout": 60, "precision": "32-true"}
IN_SHARDS = ["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=1"]


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "")  # so that whatever the test puts there is taken away again
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"strategy": "ddp", "accelerator": "mps"}, "cannot work together"),
        ({"devices": 2}, "this trainer uses one; take trainer=ddp"),
        ({"strategy": "ddp", "devices": -1}, "trainer.devices=-1: on the CPU"),
        ({"strategy": "ddp", "devices": 0}, "trainer.devices=0: expected at least 1"),
        ({"strategy": "ddp", "srun": True}, "srun python train.py"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(more: dict, words: str) -> None:
    with pytest.raises(UserError) as refused:
        trainer.num_processes(NODE | more)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer.num_processes(NODE) == 1
    assert trainer.num_processes(NODE | {"strategy": "ddp", "devices": 3}) == 3
    for name, value in {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert trainer.num_processes(NODE | {"strategy": "ddp", "devices": -1}) == 4
    with pytest.raises(UserError, match=r"trainer.devices=3: 2 processes were started on this machine"):
        trainer.num_processes(NODE | {"strategy": "ddp", "devices": 3})
    with pytest.raises(UserError, match=r"4 processes were started, and this trainer uses one"):
        trainer.num_processes(NODE)


def test_srun_says_who_is_who(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "SLURM_JOB_ID": "9871234",
        "SLURM_PROCID": "5",
        "SLURM_LOCALID": "1",
        "SLURM_NTASKS": "8",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "node[07-08]",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert trainer.num_processes(NODE | {"strategy": "ddp", "devices": -1, "srun": True}) == 8
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")  # a job of launcher=slurm
    assert trainer.num_processes(NODE | {"strategy": "ddp", "devices": 4}) == 8
    assert (world.expected(), world.expected_here(), world.rank_here()) == (8, 4, 1)
    assert (os.environ["RANK"], os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("5", "node07", "16234")


def test_a_batch_that_cannot_be_shared_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "size", lambda: 4)
    trainer.check_batch(64, 1000)
    with pytest.raises(UserError, match=r"data.batch_size=30: counts over all 4 ranks .* e.g. 28 or 32"):
        trainer.check_batch(30, 1000)
    with pytest.raises(UserError, match=r"data.batch_size=10: .* e.g. 8 or 12"):  # all the examples that there are
        trainer.check_batch(64, 10)


def test_only_some_models_can_lie_in_shards(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trainer=fsdp: MADE reads the weights of its layers itself"):
        run(compose(overrides("made", tmp_path, *IN_SHARDS)))
    with pytest.raises(UserError, match="trainer.compile=true: not with trainer=fsdp"):
        run(compose(overrides("vae", tmp_path, *IN_SHARDS, "trainer.compile=true")))
    assert list(tmp_path.iterdir()) == []


def test_mixed_precision_is_refused_where_a_loss_needs_float32(tmp_path: Path) -> None:
    line = "trainer.precision=bf16-mixed"
    with pytest.raises(UserError, match=f"^{line}: the loss of InjectiveFlow needs float32; take auto or 32-true$"):
        run(compose(overrides("injective_flow", tmp_path, line)))
    assert list(tmp_path.iterdir()) == []
    trainer.check_model(NODE | {"precision": "bf16-mixed"}, Uniform(DataSpec((1, 8, 8), 17)))  # it learns nothing


def test_channels_last_is_in_the_row_and_changes_no_number(tmp_path: Path) -> None:
    rows = [
        run(compose(overrides("vae", tmp_path / layout, "metrics=[nll_nats]", f"trainer.channels_last={layout}")))
        for layout in ("false", "true")
    ]
    assert [row["trainer"]["channels_last"] for row in rows] == [False, True]
    assert rows[0]["trainer"]["precision"] == "32-true"
    values = [row["metrics"]["nll_nats"]["value"] for row in rows]
    assert values[1] == pytest.approx(values[0], rel=1e-5)


@pytest.mark.parametrize(("amx", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_cpu_without_amx_trains_in_float32(monkeypatch: pytest.MonkeyPatch, amx: bool, precision: str) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    cfg = compose(["model=vae", "data=digits"])
    model = build(cfg["model"], "model")
    assert trainer.trainer(cfg["trainer"], model, SealedCheckpointIO()).precision == precision
