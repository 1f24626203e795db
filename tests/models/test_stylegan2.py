"""StyleGAN2: modulation against a loop, path lengths of a linear generator, lazy penalties, the controller of augmentation."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.adaptive_augmentation import AdaptiveAugment
from genarena.models.gan.stylegan2 import StyleGAN2
from genarena.nets.stylegan2 import EqualLinear, ModulatedConv2d, StyleDiscriminator, StyleGenerator
from genarena.spec import Batch, DataSpec
from genarena.training.players import seated

SPEC = DataSpec((1, 8, 8), 17)
SMALL = {"generator_channels": 4, "discriminator_channels": 4, "style_dim": 6, "latent_dim": 4}


def model(**options: object) -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(SPEC, **SMALL | options)


def batch(n: int = 6) -> Batch:
    torch.manual_seed(3)
    return Batch(torch.randint(17, (n, 1, 8, 8), dtype=torch.uint8))


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_is_a_loop_over_examples_with_their_own_weights(demodulate: bool) -> None:
    """Weights s_i w_oik over their norm, which is then one, as in equations 1 and 3 of the paper."""
    torch.manual_seed(0)
    layer, x, w = ModulatedConv2d(3, 5, 3, 4, demodulate), torch.randn(4, 3, 6, 7), torch.randn(4, 4)
    torch.nn.init.normal_(layer.bias)
    scales, rows = layer.style(w), []
    for n in range(4):
        kernel = layer.weight * 27**-0.5 * scales[n][None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            torch.testing.assert_close(kernel.flatten(1).norm(dim=1), torch.ones(5), atol=1e-6, rtol=0)
        rows.append(F.conv2d(x[n : n + 1], kernel, layer.bias, padding=1))
    torch.testing.assert_close(layer(x, w), torch.cat(rows), atol=1e-5, rtol=1e-5)


def test_equalised_layers_learn_at_their_rate() -> None:
    """The same function at the start; one step of a sign-like optimiser moves it `rate` times as far."""
    torch.manual_seed(0)
    fast, slow = EqualLinear(50, 40), EqualLinear(50, 40, rate=0.01)
    slow.weight.data = fast.weight.data / 0.01
    x = torch.randn(8, 50)
    torch.testing.assert_close(slow(x), fast(x))
    start = fast(x).detach()
    for layer in (fast, slow):
        layer.weight.data += 0.1
    torch.testing.assert_close(
        (slow(x) - start).norm() / (fast(x) - start).norm(), torch.tensor(0.01), rtol=1e-2, atol=0
    )


def test_the_path_length_of_a_linear_generator_is_that_of_its_matrix() -> None:
    """G(w) = A w: J_w^T u = A^T u for every w; with u ~ N(0, I / HW) the mean square is |A|_F^2 / HW."""
    torch.manual_seed(0)
    matrix, w = torch.randn(12, 5), torch.randn(20_000, 5)

    def generator(w: Tensor) -> Tensor:
        return (w @ matrix.T).view(-1, 1, 3, 4)

    torch.manual_seed(1)
    lengths = penalties.path_lengths(generator, w)
    torch.manual_seed(1)
    noise = torch.randn(20_000, 12) / 12**0.5
    torch.testing.assert_close(lengths, (noise @ matrix).norm(dim=1))
    assert lengths.square().mean().item() == pytest.approx(matrix.square().sum().item() / 12.0, rel=0.05)


def test_a_lazy_penalty_is_on_average_one_in_every_step() -> None:
    gan, data = model(r1_gamma=0.3, r1_every=4, path_weight=2.0, path_every=2), batch()
    seats, optimizers = seated(gan, gan.players(), gan.settings.optimizer)
    assert [seat.player.name for seat in seats] == ["discriminator", "r1", "generator", "path"]
    assert len(optimizers) == 2 and [seat.optimizer for seat in seats] == [0, 0, 1, 1]
    total = sum(gan.r1_loss(data)["loss"].item() for step in range(16) if seats[1].moves(step))
    r1 = penalties.r1(gan.discriminator, gan.real(data.x)).item()
    assert total == pytest.approx(16 * 0.3 * r1, rel=1e-4)
    assert sum(seats[3].moves(step) for step in range(16)) == 8
    gan.eval()
    gan.path_mean.fill_(0.7)
    torch.manual_seed(2)
    terms = gan.path_loss(Batch(data.x[:2]))  # one image
    mean = 0.99 * 0.7 + 0.01 * terms["length"]
    torch.testing.assert_close(terms["loss"], 2 * 2.0 * (terms["length"] - mean).square())
    assert gan.path_mean.item() == pytest.approx(0.7)


def test_the_mean_length_follows_in_training() -> None:
    gan = model(path_weight=2.0, path_decay=0.9).train()
    length = gan.path_loss(batch())["length"]
    torch.testing.assert_close(gan.path_mean, 0.1 * length)


def test_each_loss_moves_its_own_player_alone() -> None:
    gan, data = model(path_weight=2.0), batch()
    for player in gan.players():
        gan.zero_grad()
        player.loss(data)["loss"].backward()
        # The slope of a piecewise linear network does not depend on its biases, nor that of an image on the last ones.
        seen = [p for p in player.owned if p.dim() > 1 or player.name in ("discriminator", "generator")]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in seen), player.name
    gan.zero_grad()
    gan.discriminator_loss(data)["loss"].backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 28, 28)])
def test_any_image_size_is_drawn_and_judged_row_by_row(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = StyleGenerator(3, shape, 2, 2, 4, 2)(torch.randn(2, 3))
    critic = StyleDiscriminator(shape, 2, 2).train()
    assert x.shape == (2, *shape)
    torch.testing.assert_close(critic(x), torch.cat([critic(row[None]) for row in x]))


# -- adaptive augmentation ------------------------------------------------------------------------------------------------


def test_augmentation_at_p_zero_is_the_identity_and_at_one_changes_every_image() -> None:
    augment, x = AdaptiveAugment(), torch.rand(16, 1, 9, 7) * 2.0 - 1.0
    assert torch.equal(augment(x), x)
    augment.p.fill_(1.0)
    assert ((augment(x) - x).flatten(1).abs().amax(1) > 1e-3).all()
    augment._happens = lambda num: torch.zeros(num)
    torch.testing.assert_close(augment(x), x, atol=1e-5, rtol=0)


def test_the_controller_follows_how_sure_the_discriminator_is() -> None:
    """p moves by heard / images_to_full per interval, up while E sign D(real) > target, down below, within [0, 1]."""
    augment = AdaptiveAugment(target=0.6, images_to_full=1000.0, interval=2)
    sure, unsure = torch.full((50,), 3.0), torch.tensor([1.0, -1.0] * 25)
    for _ in range(2):
        augment.listen(sure)
    assert augment.p.item() == pytest.approx(0.1) and augment.heard == 0
    augment.listen(sure)
    assert augment.p.item() == pytest.approx(0.1)  # the interval is not over
    augment.listen(unsure)  # on average 0.5, below the target
    assert augment.p.item() == pytest.approx(0.0)
    for _ in range(40):
        augment.listen(sure)
    assert augment.p.item() == 1.0


def test_turns_keep_distances_between_pixels() -> None:
    """Without zoom, stretch and shift the map of pixels is orthogonal, also for images that are no squares."""
    augment = AdaptiveAugment()
    augment.p.fill_(1.0)
    height, width, randn = 12, 5, torch.randn
    try:
        torch.randn = lambda *size, **options: torch.zeros(*size)
        maps = augment.placements(50, height / width)[:, :2, :2]
    finally:
        torch.randn = randn
    scale = torch.tensor([width / 2.0, height / 2.0])
    pixels = scale[:, None] * maps / scale
    torch.testing.assert_close(pixels @ pixels.mT, torch.eye(2).expand(50, 2, 2), atol=1e-5, rtol=0)
    assert {round(value) for value in torch.linalg.det(pixels).tolist()} == {-1, 1}


def test_the_model_tells_its_augmentation_in_training_only() -> None:
    gan = model(augmentation=AdaptiveAugment(interval=1, images_to_full=100.0, target=0.0))
    gan.discriminator.score.bias.data.fill_(50.0)
    gan.eval().discriminator_loss(batch())
    assert gan.augmentation.p == 0.0
    gan.train().discriminator_loss(batch())
    assert gan.augmentation.p.item() == pytest.approx(0.06) and math.isfinite(gan.loss(batch())["loss"].item())
