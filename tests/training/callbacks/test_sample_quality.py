"""One rule chooses the weights of every model: an objective that is no bound, else bits/dim, fd_domain, or the last."""

import csv
from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningModule

from genarena.runs.checkpoint import load
from genarena.tracking.metrics_csv import MetricsCSV
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.checkpoints import Checkpoints
from genarena.training.callbacks.ema import EMA
from genarena.training.callbacks.sample_quality import SampleQuality
from tests.training.callbacks.toy import Mean, fit


class Judged(Mean):
    """Validates after every second of eight batches. bits: its bits/dim at each validation; None: it has no likelihood.
    objective: its loss there, of a model whose loss is no bound."""

    def __init__(
        self, bits: list[float] | None = None, ema_decay: float | None = None, objective: list[float] | None = None
    ) -> None:
        super().__init__(ema_decay=ema_decay)
        self.given = {"bits_per_dim": bits, "objective": objective}

    def validate(self, batch):
        terms = {"loss": torch.tensor(float(self.batches_seen))}
        turn = self.batches_seen // 2 - 1
        return terms | {name: torch.tensor(values[turn]) for name, values in self.given.items() if values}


class Distances:
    """fd_domain at each validation. seen: the weights of the models that it was given."""

    def __init__(self, *values: float | None) -> None:
        self.values, self.seen = list(values), []

    def __call__(self, model: LightningModule) -> float | None:
        self.seen.append(model.mean.detach().clone())
        return self.values[len(self.seen) - 1]


def chosen(model: Judged, tmp_path: Path, *quality: float | None) -> tuple[str, float]:
    checkpoints = Checkpoints(tmp_path)
    fit(model, [SampleQuality(Distances(*quality)), checkpoints, Budget(None, 64)], tmp_path, every=2)
    if checkpoints.best_by != "last":
        assert load(checkpoints.best)["arena"]["progress"] == checkpoints.best_progress
    return checkpoints.best_by, checkpoints.best_progress


def test_the_likelihood_comes_first(tmp_path: Path) -> None:
    assert chosen(Judged([3.0, 1.0, 2.0, 2.5]), tmp_path, 4.0, 3.0, 2.0, 1.0) == ("val/bits_per_dim", 0.5)


def test_a_loss_that_is_no_bound_comes_before_the_likelihood(tmp_path: Path) -> None:
    model = Judged([3.0, 1.0, 2.0, 2.5], objective=[9.0, 8.0, 6.0, 7.0])
    assert chosen(model, tmp_path, 4.0, 3.0, 2.0, 1.0) == ("val/objective", 0.75)


def test_samples_choose_where_there_is_no_likelihood(tmp_path: Path) -> None:
    assert chosen(Judged(), tmp_path, 4.0, 3.0, 2.0, 3.0) == ("val/fd_domain", 0.75)


def test_a_validation_without_a_value_is_not_chosen_by_an_old_one(tmp_path: Path) -> None:
    """Samples of the third are not finite."""
    assert chosen(Judged(), tmp_path, 4.0, 3.0, None, 5.0) == ("val/fd_domain", 0.5)


def test_nothing_is_chosen_within_the_ramp_of_a_loss(tmp_path: Path) -> None:
    model = Judged()
    model.ramp = 0.75
    assert chosen(model, tmp_path, 1.0, 1.0, 3.0, 2.0) == ("val/fd_domain", 1.0)


def test_without_either_the_last_weights_are_taken(tmp_path: Path) -> None:
    assert chosen(Judged(), tmp_path, None, None, None, None) == ("last", 0.0)
    assert not (tmp_path / "best.ckpt").exists()


def test_statistics_of_one_pass_are_taken_at_its_end(tmp_path: Path) -> None:
    """A memory of half of the training set would be chosen by luck, and its seeds had other numbers of samples."""
    model = Judged([1.0, 2.0, 3.0, 4.0])
    model.max_epochs = 1
    assert chosen(model, tmp_path, 1.0, 2.0, 3.0, 4.0) == ("last", 0.0)


def test_samples_are_of_the_averaged_weights(tmp_path: Path) -> None:
    model, measure, ema = Judged(ema_decay=0.9), Distances(4.0, 3.0, 2.0, 1.0), EMA(0.9)
    at_validation: list[torch.Tensor] = []

    class Averages(Checkpoints):
        def on_validation_end(self, trainer, pl_module):
            at_validation.append(ema.averaged["mean"].clone())

    fit(model, [SampleQuality(measure), ema, Averages(tmp_path), Budget(None, 64)], tmp_path, every=2)
    assert len(measure.seen) == 4
    assert all(torch.equal(seen, averaged) for seen, averaged in zip(measure.seen, at_validation, strict=True))


@pytest.mark.parametrize("bits", [None, [1.0] * 4])
def test_the_curve_stands_beside_the_examples(bits: list[float] | None, tmp_path: Path) -> None:
    tracker, measure = MetricsCSV(tmp_path / "metrics.csv"), Distances(4.0, 3.0, 2.0, 1.0)
    fit(Judged(bits), [SampleQuality(measure), Budget(None, 64)], tmp_path, every=2, logger=tracker)
    tracker.save()
    with tracker.path.open() as file:
        rows = list(csv.DictReader(file))
    curve = [(int(row["examples"]), float(row["val/fd_domain"])) for row in rows if row["val/fd_domain"]]
    assert curve == [(16, 4.0), (32, 3.0), (48, 2.0), (64, 1.0)]


def test_where_nobody_logs_it_a_model_with_a_likelihood_draws_nothing(tmp_path: Path) -> None:
    measure = Distances()
    fit(Judged([1.0] * 4), [SampleQuality(measure), Budget(None, 64)], tmp_path, every=2)
    assert measure.seen == []
