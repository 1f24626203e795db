"""CSV, TensorBoard and W&B have the same numbers at the same steps and the same pictures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genarena.config import compose
from genarena.data.batches import Batches
from genarena.run import run
from genarena.tracking.base import Tracker
from genarena.tracking.metrics_csv import MetricsCSV
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.curves import Curves
from tests.tracking import offline_file
from tests.training.callbacks.toy import Mean, ToyData, TwoPlayers, fit

EXAMPLES = 192


def command(runs_dir: Path, model: str, logger: str, *more: str) -> list[str]:
    return [
        f"model={model}",
        "data=digits",
        "budget=smoke",
        f"budget.examples={EXAMPLES}",
        "metrics=[sampling_seconds]",
        "model.training.batch_size=8",
        "callbacks.progress=false",
        "callbacks.grid_size=4",
        f"logger={logger}",
        f"runs_dir={runs_dir}",
        *more,
    ]


def curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [key for key in rows[0] if key != "step"]
    return {key: [(int(row["step"]), float(row[key])) for row in rows if row[key]] for key in keys}


class Memory(Tracker):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict]] = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, metrics))


def test_gradient_norm_and_learning_rate_are_those_of_the_step(tmp_path: Path) -> None:
    class Clipped(Mean):
        def __init__(self) -> None:
            super().__init__(lr=0.25)
            object.__setattr__(self.settings, "gradient_clip", 0.1)
            object.__setattr__(self.settings, "schedule", lambda progress: 0.5)

    memory = Memory()
    fit(Clipped(), [Curves(), Budget(None, 8 * 21)], tmp_path, every=21, logger=memory)
    (first, values), (last, later), (validated, found) = memory.rows
    assert (first, last, validated) == (1, 21, 21)
    data = ToyData(Mean().spec, batch_size=8)
    data.setup()
    batch = next(iter(Batches(data.train, 8, 0, shuffle=True, augment=data.augment)))
    gradient = 2 * (5.0 - batch.x).sum(0) / batch.x.numel()
    assert values["train/gradient_norm"] == pytest.approx(float(gradient.norm()), rel=1e-5)  # before clipping
    assert values["train/learning_rate"] == 0.125
    assert later["train/gradient_norm"] != values["train/gradient_norm"]
    assert set(found) == {"val/loss", "progress", "examples"}


def test_each_player_has_its_own_even_if_it_rarely_moves(tmp_path: Path) -> None:
    memory, model = Memory(), TwoPlayers()
    model.n_critic = 5
    fit(model, [Curves(), Budget(None, 8 * 21)], tmp_path, every=50, logger=memory)
    first, last, _ = (set(values) for _, values in memory.rows)
    moves = {
        f"train/{player}_{name}"
        for player in ("generator", "discriminator")
        for name in ("loss", "gradient_norm", "learning_rate")
    }
    assert last == moves | {"progress", "examples"}
    assert first == {key for key in moves if "discriminator" in key} | {"progress", "examples"}


@pytest.fixture(scope="module")
def in_wandb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    runs_dir = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        row = run(compose(command(runs_dir, "vae", "wandb")))
    (path,) = runs_dir.glob("digits/vae/*")
    return path, row


def test_wandb_has_what_the_csv_has(in_wandb: tuple[Path, dict]) -> None:
    path, _ = in_wandb
    expected = curves(path / "metrics.csv")
    assert {
        "train/loss",
        "train/kl",
        "train/gradient_norm",
        "train/learning_rate",
        "val/bits_per_dim",
        "progress",
        "examples",
        "test/sampling_seconds",
        "cost/parameters",
    } <= set(expected)
    (folder,) = (path / "wandb").glob("offline-run-*")
    logged = offline_file.read(folder)
    for key, curve in expected.items():
        assert logged.curve(key) == [(step, pytest.approx(value)) for step, value in curve], key
    logged_keys = {key for line in logged.history for key in line if "/" in key and "." not in key}
    assert logged_keys == {key for key in expected if "/" in key}
    assert [step for step, _ in expected["train/loss"]] == [1, 21]
    assert [step for step, _ in expected["val/loss"]] == [2, 3, 6, 12, 24]


def test_wandb_summary_is_flat_and_config_is_whole(in_wandb: tuple[Path, dict]) -> None:
    path, row = in_wandb
    (folder,) = (path / "wandb").glob("offline-run-*")
    logged = offline_file.read(folder)
    assert logged.summary["test/sampling_seconds"] == row["metrics"]["sampling_seconds"]["value"]
    assert logged.summary["cost/parameters"] == row["cost"]["parameters"]
    texts = {
        "status": "ok",
        "model": "vae",
        "family": "vae",
        "data": row["data"]["id"],
        "budget": "smoke",
        "line": row["line"]["id"],
        "weights": row["weights"],
    }
    assert {key: logged.summary[key] for key in texts} == texts
    assert logged.config["model"]["latent_dim"] == 32
    assert "model=vae" in logged.config["choices"]["overrides"]
    (described,) = logged.runs
    assert described.run_id == (path / "wandb" / "id").read_text().strip()
    assert (described.run_group, described.display_name) == ("digits-vae", "-".join(path.parts[-3:]))
    assert not described.git.remote_url and not logged.artifacts


def test_wandb_has_the_pictures_as_they_are(in_wandb: tuple[Path, dict]) -> None:
    path, _ = in_wandb
    (folder,) = (path / "wandb").glob("offline-run-*")
    logged = offline_file.read(folder)
    shares = ["008.33", "012", "025", "050", "100"]
    samples = {
        "samples": shares,
        "reconstructions": [f"{share}-reconstructions" for share in shares],
        "test/samples": ["final"],
        "test/reconstructions": ["reconstructions"],
        "test/neighbours": ["neighbours"],
    }
    for name, stems in samples.items():
        shown = [folder / "files" / media for _, media in logged.curve(f"{name}.path")]
        assert [file.read_bytes() for file in shown] == [(path / "samples" / f"{s}.png").read_bytes() for s in stems]


def test_tensorboard_has_what_the_csv_has(tmp_path: Path) -> None:
    run(compose(command(tmp_path, "vae", "tensorboard")))
    (path,) = tmp_path.glob("digits/vae/*")
    events = EventAccumulator(str(path / "tensorboard"), {"images": 0, "tensors": 0}).Reload()
    expected = curves(path / "metrics.csv")
    assert set(events.Tags()["scalars"]) == set(expected)
    for key, curve in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(key)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in curve], key
    assert set(events.Tags()["images"]) == {
        "samples",
        "reconstructions",
        "test/samples",
        "test/reconstructions",
        "test/neighbours",
    }
    (tmp_path / "shown.png").write_bytes(events.Images("samples")[-1].encoded_image_string)
    shown, drawn = Image.open(tmp_path / "shown.png").convert("L"), Image.open(path / "samples" / "100.png")
    assert np.array_equal(np.asarray(shown), np.asarray(drawn))
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("row/text_summary")]
    assert json.loads(texts[0])["status"] == "ok"


def test_curves_of_a_resumed_run_are_those_of_the_uninterrupted_one(tmp_path: Path, monkeypatch) -> None:
    run(compose(command(tmp_path / "whole", "vae", "csv")))
    budget_step = Budget.on_train_batch_end

    def killed(self: Budget, *args: object) -> None:
        budget_step(self, *args)
        if self.examples_seen >= 22 * 8:  # the last checkpoint was written after batch 12, a loss logged after batch 21
            raise InterruptedError("killed")

    monkeypatch.setattr(Budget, "on_train_batch_end", killed)
    with pytest.raises(InterruptedError):
        run(compose(command(tmp_path / "parts", "vae", "tensorboard")))
    monkeypatch.undo()
    (path,) = (tmp_path / "parts").glob("digits/vae/*")
    with (path / "metrics.csv").open("a") as file:
        file.write("23,0.1,0.")  # as a kill may leave it
    run(compose([*command(tmp_path / "parts", "vae", "tensorboard"), f"resume={path}"]))
    (whole,) = (tmp_path / "whole").glob("digits/vae/*")
    expected, found = curves(whole / "metrics.csv"), curves(path / "metrics.csv")
    assert expected.keys() == found.keys()
    for key in expected:
        if not key.startswith(("cost/", "test/")):
            assert expected[key] == found[key], key
    assert len(found["cost/parameters"]) == 1
    events = EventAccumulator(str(path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 21]


def test_the_file_is_whole_at_any_time(tmp_path: Path, monkeypatch) -> None:
    """New columns rewrite it beside the old one."""
    path = tmp_path / "metrics.csv"
    tracker = MetricsCSV(path)
    tracker.log_metrics({"a": 1.0}, 1)
    tracker.save()
    tracker.log_metrics({"b": 2.0}, 2)
    monkeypatch.setattr("genarena.files.atomic.os.replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tracker.save()
    assert curves(path) == {"a": [(1, 1.0)]}
    monkeypatch.undo()
    again = MetricsCSV(path)
    again.log_metrics({"b": float("nan"), "a": 3.0}, 2)
    again.close(None)
    assert curves(path)["a"] == [(1, 1.0), (2, 3.0)]
    assert torch.isnan(torch.tensor(curves(path)["b"][0][1]))


def test_going_back_leaves_out_what_came_after_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    tracker = MetricsCSV(path)
    for step, values in (
        (1, {"train/loss": 3.0}),
        (4, {"val/loss": 2.0}),
        (5, {"train/loss": 1.0}),
        (4, {"test/fid": 9.0}),
    ):
        tracker.log_metrics(values, step)
    tracker.close(None)
    with path.open("a") as file:
        file.write("4,")  # cut short
    MetricsCSV(path).rewind(4)
    assert curves(path) == {"train/loss": [(1, 3.0)], "val/loss": [(4, 2.0)], "test/fid": []}
