"""Several players: who moves when, what is frozen, what a broken step counts as."""

from dataclasses import replace
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player, joint

NAN = float("nan")


class Duel(GenerativeModel):
    """Affine G on a fixed z, linear D, Wasserstein losses: no randomness, every gradient can be written down."""

    family, likelihood, paper = "toy", Likelihood.NONE, "none"

    def __init__(self, training: Training, n_critic: int = 1, broken_generator: bool = False) -> None:
        super().__init__(DataSpec((2,)), training)
        self.n_critic = n_critic
        torch.manual_seed(0)
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
        self.broken_generator = broken_generator
        self.seen: list[dict[str, Tensor]] = []

    def players(self) -> list[Player]:
        return [
            Player("discriminator", self.discriminator.parameters(), self.discriminator_loss),
            Player("generator", self.generator.parameters(), self.generator_loss, every=self.n_critic),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return joint(self.players(), batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {}

    def fake(self, n: int) -> Tensor:
        return self.generator(torch.ones(n, 2))

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        score = self.discriminator(self.fake(len(batch.x)).detach()).mean() - self.discriminator(batch.x).mean()
        return {"loss": score + 0.1 * self.discriminator.weight.square().sum()}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake = self.fake(len(batch.x))
        score = self.discriminator(fake)
        weight = self.discriminator.weight
        self.seen.append(
            {
                "weight": weight.detach().clone(),
                "frozen": not weight.requires_grad,
                "fake": fake.detach().float(),
                "score": score.detach().float(),
            }
        )
        return {"loss": -score.mean() * (NAN if self.broken_generator else 1.0)}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.fake(num_samples)


class Recorder(pl.Callback):
    def __init__(self) -> None:
        self.weights: dict[str, list[Tensor]] = {"generator": [], "discriminator": []}
        self.streak: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, model: Duel) -> None:
        self.on_train_batch_end(trainer, model)

    def on_train_batch_end(self, trainer: pl.Trainer, model: Duel, *_: object) -> None:
        for name, history in self.weights.items():
            history.append(getattr(model, name).weight.detach().clone())
        self.streak.append(model.nonfinite_in_a_row)

    def moved(self, name: str) -> list[int]:
        history = self.weights[name]
        return [k for k in range(len(history) - 1) if not torch.equal(history[k], history[k + 1])]


def sgd(lr: float = 0.1, accumulate: int = 1) -> Training:
    return Training(partial(torch.optim.SGD, lr=lr), lambda progress: 1.0, accumulate=accumulate)


def batches(num: int, size: int) -> list[Tensor]:
    return list(torch.randn(num, size, 2, generator=torch.Generator().manual_seed(1)))


def fit(model: Duel, data: list[Tensor], precision: str = "32-true") -> Recorder:
    recorder = Recorder()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        precision=precision,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[recorder],
    )
    trainer.fit(model, DataLoader([Batch(x) for x in data], batch_size=None))
    return recorder


def test_the_generator_moves_every_n_critic_steps_and_both_players_accumulate() -> None:
    recorder = fit(Duel(sgd(accumulate=2), n_critic=3), batches(12, 4))
    assert recorder.moved("discriminator") == [1, 3, 5, 7, 9, 11]
    assert recorder.moved("generator") == [5, 11]


def test_a_step_has_the_beta2_that_its_player_says() -> None:
    """From 0.99 of the optimiser to 0.99 - 0.09 (1 - progress)."""
    model = Duel(Training(partial(torch.optim.Adam, lr=0.1, betas=(0.2, 0.99)), lambda progress: 1.0))
    first, second = Duel.players(model)
    model.players = lambda: [first, replace(second, beta2=lambda end: end - 0.09 * (1.0 - model.progress))]
    fit(model, batches(4, 4))
    found = [optimizer.param_groups[0]["betas"] for optimizer in model.trainer.optimizers]
    assert model.progress < 1.0
    assert found == [(0.2, 0.99), pytest.approx((0.2, 0.99 - 0.09 * (1.0 - model.progress)))]


def test_the_discriminator_does_not_learn_from_the_generators_loss() -> None:
    model = Duel(sgd())
    recorder = fit(model, batches(3, 4))
    for seen, after in zip(model.seen, recorder.weights["discriminator"][1:], strict=True):
        assert seen["frozen"] and torch.equal(seen["weight"], after)
    assert model.discriminator.weight.requires_grad and not model.discriminator.weight.grad


def test_a_step_is_the_gradient_step_written_by_hand() -> None:
    model, x = Duel(sgd(lr=0.5)), batches(1, 4)[0]
    w, g, b = model.discriminator.weight.clone(), model.generator.weight.clone(), model.generator.bias.clone()
    fit(model, [x])
    w_next = w - 0.5 * ((g.sum(1) + b) - x.mean(0) + 0.2 * w)
    g_next = g + 0.5 * w_next.T @ torch.ones(1, 2)  # the generator answers the discriminator that has just moved
    torch.testing.assert_close(model.discriminator.weight, w_next)
    torch.testing.assert_close(model.generator.weight, g_next)


def test_accumulated_halves_are_one_batch_for_the_discriminator() -> None:
    x = batches(1, 8)[0]
    whole, halves = Duel(sgd()), Duel(sgd(accumulate=2))
    fit(whole, [x])
    fit(halves, list(x.split(4)))
    torch.testing.assert_close(halves.discriminator.weight, whole.discriminator.weight)


def test_autocast_shows_the_generator_the_discriminator_that_has_just_moved() -> None:
    """Autocast caches bfloat16 copies of trainable weights; the frozen discriminator must not be read from there."""
    model = Duel(sgd(lr=2.0))
    fit(model, batches(2, 4), precision="bf16-mixed")
    for seen in model.seen:
        expected = seen["fake"] @ seen["weight"].T
        assert (seen["score"] - model.discriminator.bias - expected).abs().max() < 0.05 * expected.abs().max()


def test_a_player_that_breaks_in_a_row_is_counted_though_the_other_one_is_sound() -> None:
    broken = Duel(sgd(), n_critic=2, broken_generator=True)
    recorder = fit(broken, batches(6, 4))
    assert recorder.streak == [0, 0, 1, 1, 2, 2, 3] and broken.nonfinite_steps == 3
    assert recorder.moved("generator") == [] and len(recorder.moved("discriminator")) == 6
    broken.broken_generator = False
    assert fit(broken, batches(2, 4)).streak[-1] == 0


def test_large_gradients_are_skipped_and_counted_but_not_for_ever() -> None:
    """After five skipped steps one is made, of the length of the limit; a limit above all gradients changes nothing."""

    def trained(skip: float | None) -> tuple[Duel, list[int], list[int]]:
        model = Duel(sgd(lr=1.0))
        model.players = lambda: [
            Player("discriminator", model.discriminator.parameters(), model.discriminator_loss, skip=skip)
        ]
        recorder = fit(model, batches(13, 4))
        return model, recorder.streak, recorder.moved("discriminator")

    start = torch.cat([p.detach().flatten() for p in Duel(sgd()).discriminator.parameters()])
    model, streak, steps = trained(1e-3)
    assert streak == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1] and model.nonfinite_steps == 11
    assert steps == [5, 11]
    moved = torch.cat([p.detach().flatten() for p in model.discriminator.parameters()]) - start
    assert 1e-3 < moved.norm().item() <= 2.001e-3  # two steps of length 1e-3, nearly in the same direction
    free, limited = trained(None), trained(1e6)
    assert free[1] == limited[1] == [0] * 14
    assert torch.equal(free[0].discriminator.weight, limited[0].discriminator.weight)


@pytest.mark.parametrize("options", [{"every": 0}, {"clip": 0.0}, {"clip": -1.0}, {"skip": 0.0}, {"skip": -1.0}])
def test_a_player_needs_a_turn_and_a_limit(options: dict) -> None:
    with pytest.raises(ValueError, match="critic: every=.*expected at least 1"):
        Player("critic", [], print, **options)
