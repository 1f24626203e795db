"""StyleGAN2: modulation against a loop, path lengths of a linear generator, lazy penalties, the controller of augmentation."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.adaptive_augmentation import AdaptiveAugment
from genarena.models.gan.stylegan2 import StyleGAN2, Truncation
from genarena.nets.equalised import EqualLinear
from genarena.nets.minibatch_deviation import MinibatchDeviation, deviations
from genarena.nets.stylegan2 import ModulatedConv2d, StyleDiscriminator, StyleGenerator, mixed
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


# -- noise, mixing, truncation, deviation over a minibatch ----------------------------------------------------------------


def strengthened(gan: StyleGAN2, value: float) -> StyleGAN2:
    for layer in gan.generator.synthesis.layers:
        layer.strength.data.fill_(value)
    return gan.eval()


def test_noise_of_strength_zero_is_no_noise_and_noise_is_a_part_of_the_code() -> None:
    """5 layers of 2x2, 4x4 twice and 8x8 twice have 164 numbers. Each sample has its own, a code always the same image."""
    gan, z = model(), torch.randn(3, 4 + 164)
    assert gan.latent_dim == 168 and model(noise=False).latent_dim == 4
    assert torch.equal(strengthened(gan, 0.0).emit(z), gan.emit(z[:, :4]))
    strengthened(gan, 0.5)
    assert torch.equal(gan.emit(z), gan.emit(z)) and not torch.equal(gan.emit(z), gan.emit(z[:, :4]))
    assert torch.equal(gan.emit(z[:, :4]), gan.emit(torch.cat([z[:, :4], torch.zeros(3, 164)], 1)))
    layer, x, w = gan.generator.synthesis.layers[1], torch.randn(2, 16, 4, 4), torch.randn(2, 6)
    noise = torch.randn(2, 1, 4, 4)
    before = layer.convolution(x, w) + 0.5 * noise  # (N, C, H, W): the same in all channels, before the leaky ReLU
    torch.testing.assert_close(layer(x, w, noise), 2.0**0.5 * torch.where(before > 0, before, 0.2 * before))


def test_a_pixel_of_noise_moves_its_layer_and_its_surroundings_only() -> None:
    """The last layer of 8x8: its noise at pixel (2, 5) reaches the image at (2, 5) alone, through a 1x1 convolution."""
    gan = strengthened(model(), 1.0)
    z = torch.zeros(1, 168)
    other = z.clone()
    other[0, 168 - 64 + 2 * 8 + 5] = 3.0
    moved = (gan.emit(other) - gan.emit(z))[0, 0]
    assert moved.nonzero().tolist() == [[2, 5]]


def test_a_code_mixed_with_itself_is_not_mixed_and_layers_change_hands_once() -> None:
    styles, others = torch.randn(5, 6, 3), torch.randn(5, 6, 3)
    start = torch.tensor([1, 2, 4, 5, 6])
    assert torch.equal(mixed(styles, styles, start), styles)
    for row, first in enumerate(start.tolist()):
        expected = torch.cat([styles[row, :first], others[row, first:]])
        assert torch.equal(mixed(styles, others, start)[row], expected)


def test_the_share_of_mixed_images_is_the_option() -> None:
    gan = model(mixing=0.25)
    z = torch.randn(4000, gan.latent_dim)
    with torch.no_grad():
        plain, found = gan.generator.styles(z), gan.mixed(z, None)
        changed = (found != plain).any(2)
        assert torch.equal(found[:, 0], plain[:, 0])
        assert changed[:, -1].float().mean().item() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 4000) ** 0.5)
        assert torch.equal(model(mixing=0.0).mixed(z, None), model(mixing=0.0).generator.styles(z))


def test_truncation_one_is_the_model_and_zero_the_mean_image() -> None:
    gan = model(noise=False).eval()
    gan.generator.mapping.mean.copy_(torch.randn(6))
    mean = gan.generator.images(gan.generator.mapping.mean.expand(1, 6, 6))

    def drawn(psi: float) -> Tensor:
        gan.use(Truncation(psi))
        torch.manual_seed(1)
        return gan.generate(3).detach()

    torch.manual_seed(1)
    z = torch.randn(3, 4)
    assert torch.equal(drawn(1.0), gan.rounded(gan.emit(z)))
    torch.testing.assert_close(drawn(0.0), gan.rounded(mean).expand(3, -1, -1, -1))
    w = gan.generator.mapping(z)
    half = 0.5 * (w + gan.generator.mapping.mean)
    torch.testing.assert_close(gan.generator.styles(z, None, 0.5), half[:, None].expand(-1, 6, -1))
    with pytest.raises(ValueError, match="truncation"):
        Truncation(1.5)


def test_the_mean_style_follows_in_training_only() -> None:
    gan, z = model(mixing=0.0), torch.randn(7, 4)
    w = gan.eval().generator.mapping(z)
    assert not gan.generator.mapping.mean.any()
    gan.train().generator.mapping(z)
    torch.testing.assert_close(gan.generator.mapping.mean, 0.002 * w.mean(0))


def test_equal_examples_have_no_deviation_and_others_that_of_their_group() -> None:
    """sqrt(var + 1e-8) keeps the gradient finite at equal examples: a channel of 1e-4. Groups are strided: n mod N / group."""
    x = torch.randn(8, 3, 2, 2)
    layer = MinibatchDeviation(4).train()
    torch.testing.assert_close(layer(x[:1].expand(8, -1, -1, -1))[:, 3], torch.full((8, 2, 2), 1e-4), atol=1e-6, rtol=0)
    expected = torch.stack([x[0::2].std(0, correction=0).mean(), x[1::2].std(0, correction=0).mean()]).repeat(4)
    torch.testing.assert_close(layer(x), torch.cat([x, expected[:, None, None, None].expand(-1, 1, 2, 2)], 1))
    torch.testing.assert_close(deviations(x[:7], 4), x[:7].std(0, correction=0).mean().expand(7))  # one group of seven
    assert deviations(x[:1], 4).item() == pytest.approx(1e-4)


def test_in_eval_mode_the_deviation_is_the_mean_of_training_batches() -> None:
    layer, x = MinibatchDeviation(4).train(), torch.randn(4, 3, 2, 2)
    layer(x)
    torch.testing.assert_close(layer.mean, 0.01 * x.std(0, correction=0).mean())
    before = layer.mean.clone()
    assert torch.equal(layer.eval()(x)[:, 3], before.expand(4, 2, 2)) and torch.equal(layer.mean, before)


def test_path_lengths_of_layers_are_a_mean_over_them() -> None:
    """G(w) = sum_l A_l w_l: the square of the length is the mean of |A_l^T u|^2."""
    torch.manual_seed(0)
    matrices, w = torch.randn(2, 12, 5), torch.randn(6, 2, 5)
    torch.manual_seed(1)
    lengths = penalties.path_lengths(lambda w: torch.einsum("lij,nlj->ni", matrices, w).view(-1, 1, 3, 4), w)
    torch.manual_seed(1)
    noise = torch.randn(6, 1, 3, 4).flatten(1) / 12**0.5
    squares = torch.einsum("lij,ni->nlj", matrices, noise).square().sum(2)
    torch.testing.assert_close(lengths, squares.mean(1).sqrt())


def test_blocks_without_residuals_are_their_first_term() -> None:
    critic = StyleDiscriminator((1, 8, 8), 2, 2, residual=False)
    assert not any("skip" in name for name, _ in critic.named_parameters())
    block, x = critic.blocks[0], torch.randn(2, 2, 8, 8)
    other = StyleDiscriminator((1, 8, 8), 2, 2).blocks[0]
    other.load_state_dict(block.state_dict(), strict=False)
    other.skip.weight.data.zero_()
    torch.testing.assert_close(block(x), 2.0**0.5 * other(x))


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 28, 28)])
def test_any_image_size_is_drawn_and_judged_row_by_row(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = StyleGenerator(3, shape, 2, 2, 4, 2)(torch.randn(2, 3))
    critic = StyleDiscriminator(shape, 2, 2, group=4).eval()
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
