"""WGAN-GP: its loss is Wasserstein plus lambda times the penalty, on images and vectors, and moves the right player."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from genarena.models.gan.penalties import two_sided
from genarena.models.gan.sngan import SNGAN
from genarena.models.gan.wgan_gp import PAPER_TRAINING, WGANGP
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.schedule import constant
from tests.training.test_plain_trainer import trainer

IMAGES, POINTS = DataSpec((1, 8, 8), 17), DataSpec((2,))
LABELLED = DataSpec((2,), num_classes=3, condition="label")
SMALL = {"generator_channels": 4, "discriminator_channels": 4, "hidden": 16, "latent_dim": 4}
EVERY_SPEC = pytest.mark.parametrize("spec", [IMAGES, POINTS], ids=["images", "points"])


def model(spec: DataSpec, **options: object) -> WGANGP:
    torch.manual_seed(0)
    return WGANGP(spec, **SMALL | options)


def batch(spec: DataSpec, n: int = 6) -> Batch:
    torch.manual_seed(3)
    y = torch.arange(n) % 3 if spec.condition else None
    return Batch(torch.randn(n, 2) if spec.is_vector else torch.randint(17, (n, 1, 8, 8), dtype=torch.uint8), y)


@EVERY_SPEC
def test_the_loss_is_the_distance_and_the_weighted_penalty(spec: DataSpec) -> None:
    gan, data = model(spec, penalty_weight=7.0).eval(), batch(spec)
    torch.manual_seed(5)
    terms = gan.discriminator_loss(data)
    torch.manual_seed(5)
    real, fake = gan.real(data.x), gan.generate(6).detach()
    expected = gan.discriminator(fake).mean() - gan.discriminator(real).mean()
    penalty = two_sided(gan.discriminator, real, fake)
    torch.testing.assert_close(terms["loss"], expected + 7.0 * penalty)
    torch.testing.assert_close(terms["wasserstein"], -expected)
    torch.testing.assert_close(terms["penalty"], penalty)


@EVERY_SPEC
def test_each_loss_moves_its_own_player(spec: DataSpec) -> None:
    gan, data = model(spec), batch(spec)
    gan.discriminator_loss(data)["loss"].backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in gan.discriminator.parameters())
    critic, generator = gan.players()
    assert (critic.every, generator.every) == (1, 5)
    assert {*map(id, generator.owned)} == {*map(id, gan.generator.parameters())}


@EVERY_SPEC
def test_the_score_of_a_row_depends_on_that_row_alone(spec: DataSpec) -> None:
    """Otherwise the gradient of the sum is not the gradient of each score. In training mode: no batch statistics."""
    gan = model(spec).train()
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in gan.discriminator.modules())
    x = gan.real(batch(spec).x)
    alone = torch.cat([gan.discriminator(row[None]) for row in x])
    torch.testing.assert_close(gan.discriminator(x), alone)


def test_labels_reach_both_networks_of_vectors() -> None:
    gan, y = model(LABELLED).eval(), torch.tensor([0, 1, 2])
    z, x = torch.randn(1, 4).expand(3, 4), torch.randn(1, 2).expand(3, 2)
    assert gan.emit(z, y).std(0).min() > 1e-4
    assert gan.discriminator(x, gan.context(y, 3)).std() > 1e-4
    assert torch.isfinite(gan.loss(batch(LABELLED))["loss"])


def test_points_are_drawn_as_they_come_and_other_gans_still_refuse_them() -> None:
    gan = model(POINTS).eval()
    torch.manual_seed(2)
    samples = gan.sample(300)
    torch.manual_seed(2)
    assert torch.equal(samples[:250], gan.generator(torch.randn(250, 4)))
    assert samples.shape == (300, 2) and gan.real(samples) is samples
    with pytest.raises(ValueError, match="SNGAN models images"):
        SNGAN(POINTS)
    with pytest.raises(ValueError, match="WGANGP models images"):
        WGANGP(DataSpec((2,), 4))


class Reseed(Callback):
    """The same noise in a batch, whatever came before it."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: WGANGP, *_: object) -> None:
        torch.manual_seed(pl_module.batches_seen)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and devices
def test_resumed_training_on_points_is_bitwise_the_same(tmp_path: Path) -> None:
    x, ends = batch(POINTS, 32).x, []
    for parts in ([2], [1, 2]):
        path = None
        for epochs in parts:
            settings = Training(PAPER_TRAINING.optimizer, constant, batch_size=8)
            gan = model(POINTS, n_critic=3, training=settings)  # 4 batches: a turn ends in the other epoch
            fitter = trainer(tmp_path, max_epochs=epochs, callbacks=[Reseed()])
            fitter.fit(gan, DataLoader(TensorDataset(x), batch_size=8), ckpt_path=path)
            path = tmp_path / "end.ckpt"
            fitter.save_checkpoint(path)
        states = [state for optimizer in fitter.optimizers for state in optimizer.state.values()]
        ends.append([*gan.state_dict().values(), *(value for state in states for value in state.values())])
    fresh = [*model(POINTS).state_dict().values()]
    assert any(not torch.equal(start, end) for start, end in zip(fresh, ends[0], strict=False))
    assert all(torch.equal(whole, resumed) for whole, resumed in zip(*ends, strict=True))
