"""DCGAN: the log-loss game against hand values and its known optimum, the networks' shapes, scale and gradients."""

import math

import pytest
import torch
from torch import nn

from genarena.likelihood import to_unit
from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.dcgan import DCGAN
from genarena.models.gan.objectives import (
    least_squares_discriminator,
    least_squares_generator,
    log_loss_discriminator,
    non_saturating_generator,
)
from genarena.nets.dcgan import DCGANGenerator
from genarena.nets.pyramid import pyramid
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 8, 8), 17)


def model() -> DCGAN:
    torch.manual_seed(0)
    return DCGAN(SPEC, channels=8, latent_dim=16)


def batch(n: int = 6) -> Batch:
    return Batch(torch.randint(0, 17, (n, 1, 8, 8), dtype=torch.uint8))


def test_losses_have_their_values_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.0])
    expected = (
        -(math.log(1 / (1 + math.exp(-2))) + math.log(0.5)) / 2 - (math.log(1 - 1 / (1 + math.e)) + math.log(0.5)) / 2
    )
    assert log_loss_discriminator(real, fake).item() == pytest.approx(expected, rel=1e-6)
    assert non_saturating_generator(fake).item() == pytest.approx(
        -(math.log(1 / (1 + math.e)) + math.log(0.5)) / 2, rel=1e-6
    )
    assert log_loss_discriminator(real.bfloat16(), fake.bfloat16()).dtype == torch.float32


def test_the_generators_gradient_does_not_vanish_when_the_discriminator_is_sure() -> None:
    logit = torch.tensor([-30.0], requires_grad=True)
    non_saturating_generator(logit).backward()
    assert logit.grad.item() == pytest.approx(-1.0)


def test_the_best_discriminator_is_the_log_odds() -> None:
    """D* = log p - log q on three states, reached by Newton's method on the table of logits."""
    real, fake = torch.tensor([0] * 4 + [1] * 3 + [2]), torch.tensor([0] + [1] * 3 + [2] * 4)
    logits = torch.zeros(3, dtype=torch.float64)
    for _ in range(20):
        logits.requires_grad_()
        loss = log_loss_discriminator(logits[real], logits[fake])
        (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
        curvature = torch.stack([torch.autograd.grad(g, logits, retain_graph=True)[0] for g in gradient])
        logits = (logits - torch.linalg.solve(curvature, gradient)).detach()
    torch.testing.assert_close(logits, torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64).log(), atol=1e-4, rtol=0)


def test_pyramids_by_hand() -> None:
    assert pyramid(28, 28) == [(28, 28), (14, 14), (7, 7)]
    assert pyramid(8, 8) == [(8, 8), (4, 4), (2, 2)]
    assert pyramid(64, 33)[1:] == [(32, 17), (16, 9), (8, 5)]
    with pytest.raises(ValueError, match="7x28"):
        pyramid(7, 28)


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 28, 28), (3, 64, 33)])
@pytest.mark.parametrize("kernel", [4, 5])
def test_any_image_size_is_drawn_and_judged(shape: tuple[int, int, int], kernel: int) -> None:
    net = DCGAN(DataSpec(shape, 256), channels=2, latent_dim=4, kernel=kernel)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    assert {module.kernel_size for module in layers} == {(kernel, kernel)}
    fake = net.generate(2)
    assert fake.shape == (2, *shape) and net.discriminator(fake).shape == (2,)


def test_weights_start_at_the_papers_scale() -> None:
    net = DCGANGenerator(100, (3, 64, 64), channels=16)
    for module in net.modules():
        if isinstance(module, nn.ConvTranspose2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert abs(module.weight.mean().item()) < 2e-3
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight - 1).std().item() == pytest.approx(0.02, rel=0.7) and not module.bias.any()


def test_generated_images_lie_on_the_levels_and_gradients_pass_the_rounding() -> None:
    gan = model()
    torch.manual_seed(1)
    fake = gan.generate(4)
    levels = to_unit(torch.arange(17), 17)
    assert (fake.unsqueeze(-1) - levels).abs().min(-1).values.max() < 1e-6
    torch.manual_seed(1)
    smooth = gan.generator(torch.randn(4, 16))
    assert 0.02 < (fake - smooth).abs().max() <= 1 / 16 + 1e-6
    weight = gan.generator.project.weight
    probe = torch.randn_like(fake)
    ours, plain = (torch.autograd.grad((x * probe).sum(), weight)[0] for x in (fake, smooth))
    torch.testing.assert_close(ours, plain)


def test_the_discriminator_loss_sends_nothing_to_the_generator() -> None:
    gan = model()
    gan.discriminator_loss(batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in gan.discriminator.parameters())


def test_the_terms_are_the_probabilities_of_real() -> None:
    gan = model()
    nn.init.zeros_(gan.discriminator.logit.weight)
    nn.init.constant_(gan.discriminator.logit.bias, math.log(3.0))
    terms = gan.discriminator_loss(batch())
    assert [terms[name].item() for name in ("real", "fake")] == pytest.approx([0.75, 0.75])
    assert terms["loss"].item() == pytest.approx(-math.log(0.75) - math.log(0.25), rel=1e-5)


def test_the_best_discriminator_of_least_squares_is_the_share_of_data() -> None:
    """D* = p / (p + q) on three states (Mao et al. 2017, eq. 5 with a = 0, b = 1), by one exact step of Newton's method."""
    real, fake = torch.tensor([0] * 4 + [1] * 3 + [2]), torch.tensor([0] + [1] * 3 + [2] * 4)
    scores = torch.full((3,), 7.0, dtype=torch.float64, requires_grad=True)
    loss = least_squares_discriminator(scores[real], scores[fake])
    (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
    curvature = torch.stack([torch.autograd.grad(g, scores, retain_graph=True)[0] for g in gradient])
    best = (scores - torch.linalg.solve(curvature, gradient)).detach()
    torch.testing.assert_close(best, torch.tensor([0.8, 0.5, 0.2], dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("spec", [SPEC, DataSpec((2,))], ids=["images", "points"])
def test_the_objective_chooses_what_both_players_minimise(spec: DataSpec) -> None:
    torch.manual_seed(0)
    gan = DCGAN(spec, channels=8, hidden=8, latent_dim=4, objective="least_squares")
    data = Batch(torch.randn(6, 2)) if spec.is_vector else batch()
    torch.manual_seed(5)
    terms = gan.discriminator_loss(data), gan.generator_loss(data)
    torch.manual_seed(5)
    fake, real = gan.generate(6), gan.discriminator(gan.real(data.x))
    torch.testing.assert_close(terms[0]["loss"], least_squares_discriminator(real, gan.discriminator(fake)))
    torch.testing.assert_close(terms[1]["loss"], least_squares_generator(gan.discriminator(gan.generate(6))))


def test_points_have_perceptrons_whose_scores_reach_any_constant() -> None:
    gan = DCGAN(DataSpec((2,)), hidden=8, latent_dim=4)
    gan.discriminator_loss(Batch(torch.randn(6, 2)))["loss"].backward()
    assert gan.discriminator.last.bias.grad.abs().sum() > 0
    assert gan.sample(5).shape == (5, 2)
    with pytest.raises(ValueError, match="augmentation: DiffAugment is for images"):
        DCGAN(DataSpec((2,)), augmentation=DiffAugment())
