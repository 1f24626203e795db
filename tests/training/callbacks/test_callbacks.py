"""Budget, averaging, non-finite steps, checkpoints: followed by hand on a toy."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genarena.errors import Diverged
from genarena.files.atomic import replace_atomically
from genarena.runs.checkpoint import load
from genarena.training.callbacks.budget import NEVER, Budget
from genarena.training.callbacks.checkpoints import Checkpoints
from genarena.training.callbacks.divergence import DivergenceGuard
from genarena.training.callbacks.ema import EMA
from genarena.training.callbacks.random_state import RandomState
from genarena.training.module import Training
from genarena.training.validations import number, passed
from tests.training.callbacks.toy import Mean, TwoPlayers, fit


class Trace(RandomState):
    """Raw weights after each batch, before the averaged ones are put in place at the end."""

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.weights = [*getattr(self, "weights", []), [p.detach().clone() for p in pl_module.parameters()]]
        self.progress = [*getattr(self, "progress", []), pl_module.progress]


def test_budget_in_examples_ends_after_exactly_that_many(tmp_path: Path) -> None:
    budget, trace = Budget(None, 80), Trace(0)
    model = Mean()
    fit(model, [trace, budget], tmp_path)
    assert budget.examples_seen == 80
    assert model.batches_seen == 10
    assert trace.progress == pytest.approx([n / 10 for n in range(10)])  # what the model saw while it trained
    assert model.progress == 1.0


def test_budget_in_minutes_counts_training_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))  # each look at the clock is one second later
    monkeypatch.setattr("genarena.training.callbacks.budget.time.perf_counter", lambda: next(clock))
    budget = Budget(0.1, 10_000)
    model = Mean()
    fit(model, [budget], tmp_path)
    assert budget.seconds == 6.0
    assert model.batches_seen == 6
    with pytest.raises(ValueError, match="minutes, examples or flops"):
        Budget(None, None)


@pytest.mark.parametrize("kind", [Mean, TwoPlayers])
def test_ema_counts_batches_whatever_the_number_of_optimisers(kind: type, tmp_path: Path) -> None:
    trace, decay = Trace(0), 0.6
    model = kind(ema_decay=decay)
    fit(model, [trace, EMA(decay), Budget(None, 80)], tmp_path)
    for index, parameter in enumerate(model.parameters()):
        averaged = trace.weights[0][index]
        for num, weights in enumerate(trace.weights[1:], start=1):
            d = min(decay, (1 + num) / (10 + num))
            averaged = d * averaged + (1 - d) * weights[index]
        torch.testing.assert_close(parameter.detach(), averaged)
    assert not torch.allclose(next(model.parameters()), trace.weights[-1][0])


def test_a_non_finite_step_is_left_out_and_counted(tmp_path: Path) -> None:
    trace = Trace(0)
    model = Mean(broken=range(2, 4))
    fit(model, [trace, Budget(None, 80)], tmp_path)
    assert model.nonfinite_steps == 2
    assert torch.equal(trace.weights[1][0], trace.weights[3][0])
    assert not torch.equal(trace.weights[3][0], trace.weights[4][0])
    assert torch.isfinite(model.mean).all()


def test_many_in_a_row_go_back_with_a_lower_learning_rate(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    guard, trace = DivergenceGuard(checkpoints, max_skips=2), Trace(0)
    model = Mean(broken=range(5, 8))
    fit(model, [trace, guard, checkpoints, Budget(None, 80)], tmp_path)
    assert guard.rollbacks == 1
    assert model.lr_scale == 0.5
    at_checkpoint, after = trace.weights[3][0], trace.weights[8][0]  # batch 7 rolled back, batch 8 is the next step
    step_size = (after - at_checkpoint).norm() / (at_checkpoint - trace.weights[2][0]).norm()
    assert 0.2 < step_size < 0.8


def test_it_gives_up_with_a_count(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Diverged, match="non-finite steps"):
        fit(Mean(broken=range(5, 999)), [DivergenceGuard(checkpoints, 2, 1), checkpoints, Budget(None, 800)], tmp_path)
    kept = load(checkpoints.last)["state_dict"]["mean"]
    assert torch.isfinite(kept).all()
    with pytest.raises(Diverged):  # no checkpoint to go back to
        fit(
            Mean(broken=range(999)),
            [DivergenceGuard(Checkpoints(tmp_path / "none"), 2), Budget(None, 800)],
            tmp_path,
        )


def test_best_is_best_on_validation_and_two_are_kept(tmp_path: Path) -> None:
    class Worsens(Mean):
        def validate(self, batch):
            return {"loss": torch.tensor([3.0, 1.0, 2.0][self.batches_seen // 4 - 1])}

    checkpoints = Checkpoints(tmp_path, ["val/loss"])
    fit(Worsens(), [checkpoints, Budget(None, 96)], tmp_path)
    seen = {path.name: load(path)["arena"]["batches_seen"] for path in tmp_path.glob("*.ckpt")}
    assert seen == {"last.ckpt": 12, "previous.ckpt": 8, "best.ckpt": 8}
    assert checkpoints.best_value == 1.0
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_selected_before_the_loss_has_its_final_form(tmp_path: Path) -> None:
    class Ramps(Mean):
        def validate(self, batch):
            return {"loss": torch.tensor([0.0, 3.0, 1.0, 2.0][self.batches_seen // 2 - 1])}

    model, checkpoints = Ramps(), Checkpoints(tmp_path, ["val/loss"])
    model.ramp = 0.5
    fit(model, [checkpoints, Budget(None, 64)], tmp_path, every=2)
    assert (checkpoints.best_value, checkpoints.best_progress) == (1.0, 0.75)
    assert load(checkpoints.best)["arena"]["batches_seen"] == 6


def test_a_non_finite_validation_is_never_kept(tmp_path: Path) -> None:
    class Breaks(Mean):
        def validate(self, batch):
            return {"loss": torch.tensor([1.0, float("nan")][self.batches_seen // 4 - 1])}

    checkpoints = Checkpoints(tmp_path, ["val/loss"])
    fit(Breaks(), [checkpoints, Budget(None, 64)], tmp_path)
    assert load(checkpoints.last)["arena"]["batches_seen"] == 4


def test_a_validation_that_is_not_finite_goes_back_and_then_gives_up(tmp_path: Path) -> None:
    class Breaks(Mean):
        def validate(self, batch):
            return {"loss": torch.tensor(1.0 if self.batches_seen == 4 else float("inf"))}

    checkpoints = Checkpoints(tmp_path, ["val/loss"])
    guard, model = DivergenceGuard(checkpoints, max_rollbacks=2), Breaks()
    with pytest.raises(Diverged, match=r"at 50% of the budget \(val/loss is not finite"):
        fit(model, [guard, checkpoints, Budget(None, 256)], tmp_path)
    assert (guard.rollbacks, model.lr_scale) == (2, 0.25)
    assert load(checkpoints.last)["arena"]["batches_seen"] == load(checkpoints.best)["arena"]["batches_seen"] == 4
    with pytest.raises(Diverged, match="at 100%"):  # the last validation is the one that counts
        fit(Breaks(), [DivergenceGuard(checkpoints), checkpoints, Budget(None, 64)], tmp_path)


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_a_broken_buffer_is_not_kept_and_is_repaired(ema_decay: float | None, tmp_path: Path) -> None:
    """As the running statistics of a batch normalisation that met one infinite batch: every gradient stays finite."""

    class Statistics(Mean):
        def __init__(self) -> None:
            super().__init__(ema_decay=ema_decay)
            self.register_buffer("running", torch.zeros(1))

        def loss(self, batch):
            if self.training and self.batches_seen == 6:
                self.running += float("inf")
            return super().loss(batch)

    checkpoints, model = Checkpoints(tmp_path, ["val/loss"]), Statistics()
    guard = DivergenceGuard(checkpoints)
    averages = [EMA(ema_decay)] if ema_decay else []
    fit(model, [*averages, guard, checkpoints, Budget(None, 96)], tmp_path)
    assert guard.rollbacks == 1  # found by the validation after batch 8
    assert float(model.running) == 0.0
    for path in (checkpoints.last, checkpoints.previous, checkpoints.best):
        assert float(load(path)["state_dict"]["running"]) == 0.0


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_an_infinite_gradient_of_either_player_diverges(player: str, tmp_path: Path) -> None:
    class Explodes(TwoPlayers):
        def after_batch(self, terms, num_examples):
            super().after_batch(terms, num_examples)
            if self.batches_seen == 5:  # the loss stays finite, its gradient does not
                next(getattr(self, player).parameters()).register_hook(lambda gradient: gradient * float("inf"))

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Diverged, match="gradient is not finite"):
        fit(Explodes(), [DivergenceGuard(checkpoints, 2, 1), checkpoints, Budget(None, 800)], tmp_path)
    assert all(torch.isfinite(value).all() for value in load(checkpoints.last)["state_dict"].values())


def test_the_learning_rate_rises_over_the_first_steps_however_short_the_budget(tmp_path: Path) -> None:
    class Rates(Mean):
        def after_batch(self, terms: dict, num_examples: int) -> None:
            rates.append(self.optimizers().param_groups[0]["lr"])
            super().after_batch(terms, num_examples)

    rates: list[float] = []
    model = Rates(lr=0.1)
    model.settings = replace(model.settings, warmup_steps=3)
    fit(model, [Budget(None, 48)], tmp_path)
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fails(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_atomically(path, fails)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_validation_draws_nothing_from_the_training_generator(tmp_path: Path) -> None:
    class Noisy(Mean):
        def loss(self, batch):
            return {"loss": (batch.x + torch.randn_like(batch.x) - self.mean).pow(2).mean()}

    ends = []
    for every in (2, 5):
        model = Noisy()
        fit(model, [RandomState(3), Budget(None, 80)], tmp_path, every=every)
        ends.append(model.mean.detach().clone())
    assert torch.equal(*ends)


SHARES = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]  # of a budget with validations=2


class Validated(RandomState):
    """The progress at each validation."""

    def on_validation_end(self, trainer, pl_module):
        self.at = [*getattr(self, "at", []), pl_module.progress]


def test_validations_are_early_and_then_at_equal_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Validated(0)
    fit(Mean(), [seen, Budget(None, 8 * 64, validations=2)], tmp_path, every=NEVER)
    assert seen.at == SHARES
    clock = iter(range(10_000))  # a second per batch and per look at the clock after a validation
    monkeypatch.setattr("genarena.training.callbacks.budget.time.perf_counter", lambda: next(clock))
    seen = Validated(0)
    fit(Mean(), [seen, Budget(64 / 60, None, validations=2)], tmp_path, every=NEVER)
    assert seen.at == pytest.approx(SHARES)


def test_shares_are_passed_once_each_and_those_on_one_batch_together() -> None:
    assert [passed(share, 2) for share in SHARES] == [1, 2, 3, 4, 5]
    assert [passed(share - 1e-6, 2) for share in SHARES] == [0, 1, 2, 3, 4]
    assert passed(0.29, 100) == 29 + 3  # 0.29 * 100 is 28.999999999999996
    assert passed(1.0, 7) == number(7) == 10


def test_three_batches_are_three_validations(tmp_path: Path) -> None:
    seen = Validated(0)
    fit(Mean(), [seen, Budget(None, 24, validations=2)], tmp_path, every=NEVER)
    assert seen.at == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_a_validation_waits_for_the_end_of_a_group_of_accumulated_batches(tmp_path: Path) -> None:
    """It would clear the gradients of the group."""
    ends = []
    for validations in (None, 2):
        seen, model = Validated(0), Mean()
        model.settings = replace(model.settings, accumulate=3)
        fit(model, [seen, Budget(None, 8 * 24, validations)], tmp_path, every=NEVER)
        ends.append(model.mean.detach())
    assert seen.at == pytest.approx([3 / 24, 6 / 24, 12 / 24, 1.0])
    assert torch.equal(*ends)


@pytest.mark.parametrize("ramp", [None, 0.6])
def test_a_half_life_counts_examples(ramp: float | None, tmp_path: Path) -> None:
    trace, model = Trace(0), Mean()
    fit(model, [trace, EMA(None, half_life=40.0, ramp=ramp), Budget(None, 80)], tmp_path)
    average = trace.weights[0][0]
    for num, (weight,) in enumerate(trace.weights[1:], 1):
        half_life = min(40.0, 0.6 * 8 * (num + 1)) if ramp else 40.0  # 40 from the ninth batch on
        decay = min(0.5 ** (8 / half_life), (1.0 + num) / (10.0 + num))
        average = decay * average + (1.0 - decay) * weight
    torch.testing.assert_close(model.mean.detach(), average)


def test_a_decay_and_a_half_life_are_not_both_taken() -> None:
    with pytest.raises(ValueError, match=r"ema_decay=0.9, ema_half_life=500: expected at most one"):
        Training(ema_decay=0.9, ema_half_life=500.0)
    with pytest.raises(ValueError, match=r"ema_ramp=0.05: limits ema_half_life, which is null"):
        Training(ema_decay=0.9, ema_ramp=0.05)
    assert Training(ema_half_life=500.0).averages == "EMA half-life 500"
    assert Training(ema_decay=0.0).averages is None
