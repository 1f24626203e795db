"""A Lightning trainer that knows nothing of budgets fits a model: rates, ramps, logs and averaged weights are right."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from genarena.data.batches import Batches
from genarena.training.limits import share_done
from genarena.training.module import TrainedModule
from genarena.training.schedule import warmup_cosine
from tests.training.callbacks.toy import SPEC, Mean, ToyData, TwoPlayers

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and devices
BATCHES = 8  # per epoch


def trainer(folder: Path, **options: object) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return Trainer(**quiet | {"default_root_dir": folder, "enable_checkpointing": False} | options)


def loader() -> DataLoader:
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x), batch_size=8)


def watched(model: TrainedModule) -> list[tuple[float, float]]:
    """(progress, learning rate of the last optimiser) of every batch, as they come."""
    seen, after_batch = [], model.after_batch

    def note(terms: dict, num_examples: int) -> None:
        optimizers = model.optimizers()
        newest = optimizers[-1] if isinstance(optimizers, list) else optimizers
        seen.append((model.progress, newest.param_groups[0]["lr"]))
        after_batch(terms, num_examples)

    model.after_batch = note
    return seen


@pytest.mark.parametrize(
    ("make", "limits", "num_batches"),
    [
        (Mean, {"max_epochs": 3}, 24),
        (Mean, {"max_steps": 20}, 20),
        (Mean, {"max_epochs": 2, "limit_train_batches": 5}, 10),
        (Mean, {"max_epochs": 100, "max_steps": 20}, 20),
        (TwoPlayers, {"max_epochs": 2}, 16),
        (TwoPlayers, {"max_steps": 20}, 10),  # Lightning counts the steps of both players
    ],
)
def test_the_rate_follows_the_schedule_to_its_end(
    make: Callable, limits: dict, num_batches: int, tmp_path: Path
) -> None:
    model = make()
    model.settings = replace(model.settings, schedule=warmup_cosine)
    seen = watched(model)
    trainer(tmp_path, **limits).fit(model, loader())
    assert [progress for progress, _ in seen] == pytest.approx([n / num_batches for n in range(num_batches)])
    assert [rate for _, rate in seen] == pytest.approx(
        [0.1 * warmup_cosine(n / num_batches) for n in range(num_batches)]
    )


@pytest.mark.parametrize("limits", [{}, {"limit_train_batches": 5}])
def test_a_data_module_shows_another_part_of_its_order_in_each_epoch(limits: dict, tmp_path: Path) -> None:
    class Shown(Mean):
        def loss(self, batch: object) -> dict:
            if self.training:
                shown.append(batch.x)
            return super().loss(batch)

    shown: list[torch.Tensor] = []
    data = ToyData(SPEC, batch_size=8)
    trainer(tmp_path, max_epochs=3, **limits).fit(Shown(), datamodule=data)
    endless = iter(Batches(data.train, 8, data.seed, shuffle=True))
    assert len(shown) == 3 * limits.get("limit_train_batches", BATCHES)
    assert all(torch.equal(x, next(endless).x) for x in shown)


def test_max_time_is_a_limit_too() -> None:
    timer = Timer(duration={"seconds": 60})
    timer.time_elapsed = lambda stage="train": 15.0
    told = SimpleNamespace(max_steps=-1, max_epochs=-1, callbacks=[timer])
    assert share_done(told, 3) == pytest.approx(0.25)
    stream = {"max_epochs": 4, "current_epoch": 1, "num_training_batches": math.inf}
    assert share_done(SimpleNamespace(max_steps=-1, callbacks=[Timer()], **stream), 7) == 0.25
    assert share_done(SimpleNamespace(max_steps=-1, max_epochs=-1, callbacks=[]), 0) is None


def test_a_training_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs an end: max_epochs, max_steps or max_time"):
        trainer(tmp_path, max_epochs=-1).fit(Mean(), loader())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_plain_logger_gets_means_of_terms_and_validation(accumulate: int, tmp_path: Path) -> None:
    class Numbered(Mean):
        def loss(self, batch: object) -> dict:
            return super().loss(batch) | {"number": torch.tensor(float(self.batches_seen))}

    model = Numbered()
    model.settings = replace(model.settings, accumulate=accumulate)
    fitter = trainer(tmp_path, max_epochs=3, logger=CSVLogger(tmp_path))
    fitter.fit(model, datamodule=ToyData(SPEC, batch_size=8))
    rows = list(csv.DictReader((tmp_path / "lightning_logs" / "version_0" / "metrics.csv").open()))
    lines = {int(row["step"]): row for row in rows if row["train/number"]}
    assert {step: float(row["train/number"]) for step, row in lines.items()} == {1: 0.0, 21: 10.5}  # of batches 1 to 20
    assert float(lines[21]["train/learning_rate"]) == 0.1
    assert [int(row["step"]) for row in rows if row["val/loss"]] == [8, 16, 24]


def test_means_of_a_resumed_training_are_those_of_the_whole(tmp_path: Path) -> None:
    ends = []
    for parts in ([24], [12, 24]):
        folder, path = tmp_path / str(len(parts)), None
        for steps in parts:
            model = Mean()
            fitter = trainer(folder, max_steps=steps, logger=CSVLogger(folder))
            fitter.fit(model, datamodule=ToyData(SPEC, batch_size=8), ckpt_path=path)
            path = folder / "end.ckpt"
            fitter.save_checkpoint(path)
        rows = list(csv.DictReader(sorted(folder.glob("lightning_logs/*/metrics.csv"))[-1].open()))
        ends.append([(row["train/loss"], row["train/gradient_norm"]) for row in rows if row["step"] == "21"])
    assert ends[0] == ends[1] and len(ends[0]) == 1


def test_weights_are_averaged_where_the_model_says_so(tmp_path: Path) -> None:
    ends = {}
    for decay in (None, 0.9):
        model = Mean(ema_decay=decay)
        trainer(tmp_path, max_epochs=1).fit(model, loader())
        ends[decay] = model.mean.detach()
    assert (ends[0.9] > ends[None] + 0.1).all()  # the mean falls from 5, and its average is behind


def test_a_ramp_ends_in_validation_and_nothing_is_selected_in_it(tmp_path: Path) -> None:
    class Ramps(Mean):
        def __init__(self) -> None:
            super().__init__()
            self.ramp = 0.5

        def loss(self, batch: object) -> dict:
            weights.append((self.training, self.ramped))
            return super().loss(batch)

    weights: list[tuple[bool, float]] = []
    trainer(tmp_path, max_epochs=1).fit(Ramps(), datamodule=ToyData(SPEC, batch_size=8))
    assert [ramped for training, ramped in weights if training] == [min(1.0, n / 4) for n in range(8)]
    assert {ramped for training, ramped in weights if not training} == {1.0}
