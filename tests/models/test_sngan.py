"""SNGAN: the hinge game against hand values and its known optimum, and the spectral norm of every layer by SVD."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genarena.likelihood import to_space
from genarena.models.gan.objectives import hinge_discriminator, hinge_generator
from genarena.models.gan.sngan import SNGAN
from genarena.nets.gan_resnet import GeneratorBlock, ResNetDiscriminator
from genarena.spec import Batch, Condition, DataSpec

SPEC = DataSpec((1, 8, 8), 17)


def model() -> SNGAN:
    torch.manual_seed(0)
    return SNGAN(SPEC, generator_channels=8, discriminator_channels=8, latent_dim=16)


def batch(n: int = 6) -> Batch:
    return Batch(torch.randint(0, 17, (n, 1, 8, 8), dtype=torch.uint8))


def layers(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def largest_singular_value(weight: Tensor) -> float:
    return torch.linalg.svdvals(weight.detach().flatten(1))[0].item()


def test_losses_have_their_values_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.25])
    assert hinge_discriminator(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1.25) / 2)
    assert hinge_generator(fake).item() == pytest.approx((3.0 - 0.25) / 2)
    assert hinge_discriminator(real.bfloat16(), fake.bfloat16()).dtype == torch.float32


def test_the_best_discriminator_is_the_sign_of_the_difference() -> None:
    """On three states with p = (4, 3, 1) / 8 and q = (1, 2, 5) / 8: +1, +1, -1, the loss 2 - sum |p - q|."""
    real, fake = torch.tensor([0] * 4 + [1] * 3 + [2]), torch.tensor([0] + [1] * 2 + [2] * 5)
    scores = torch.zeros(3, requires_grad=True)
    for step in range(400):
        (gradient,) = torch.autograd.grad(hinge_discriminator(scores[real], scores[fake]), scores)
        scores.data -= 0.5 / (1 + step / 10) * gradient
    torch.testing.assert_close(scores.detach(), torch.tensor([1.0, 1.0, -1.0]), atol=0.05, rtol=0)
    assert hinge_discriminator(scores[real], scores[fake]).item() == pytest.approx(2 - (3 + 1 + 4) / 8, abs=0.02)


def test_every_layer_of_the_discriminator_has_spectral_norm_one() -> None:
    torch.manual_seed(0)
    net = ResNetDiscriminator((3, 16, 16), channels=8)
    for layer in layers(net):
        layer.parametrizations.weight.original.data.mul_(3.0)  # fails on a layer that is not wrapped
    for _ in range(60):
        net(torch.randn(1, 3, 16, 16))
    for layer in layers(net):
        assert 0.98 < largest_singular_value(layer.weight) < 1.01
        assert largest_singular_value(layer.parametrizations.weight.original) > 2.0


def test_the_norm_follows_the_weights_when_trained_under_autocast() -> None:
    gan = model()
    optimizer = torch.optim.Adam(gan.discriminator.parameters(), lr=1e-2, betas=(0.0, 0.9))
    start = [layer.parametrizations.weight.original.detach().clone() for layer in layers(gan.discriminator)]
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(15):
            gan.discriminator_loss(batch())["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
            torch.clear_autocast_cache()
        with torch.no_grad():
            for _ in range(100):
                gan.discriminator(torch.zeros(1, 1, 8, 8))
    for before, layer in zip(start, layers(gan.discriminator), strict=True):
        assert (before - layer.parametrizations.weight.original).abs().max() > 0.01
        assert largest_singular_value(layer.weight) < 1.01


def test_evaluation_does_not_iterate() -> None:
    net = model().discriminator.eval()
    for layer in layers(net):
        layer.parametrizations.weight.original.data.add_(0.1)  # so that a power iteration would move u and v
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.randn(2, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_real_and_fake_in_one_pass_are_what_two_passes_give() -> None:
    gan = model().eval()
    data = batch()
    torch.manual_seed(5)
    terms = gan.discriminator_loss(data)
    torch.manual_seed(5)
    real, fake = gan.discriminator(gan.real(data.x)), gan.discriminator(gan.generate(6))
    torch.testing.assert_close(terms["loss"], hinge_discriminator(real, fake))
    torch.testing.assert_close(torch.stack([terms["real"], terms["fake"]]), torch.stack([real.mean(), fake.mean()]))


def test_the_discriminator_loss_sends_nothing_to_the_generator() -> None:
    gan = model()
    gan.discriminator_loss(batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())
    assert not any(parametrize.is_parametrized(layer) for layer in layers(gan.generator))


def test_the_shortcut_commutes_with_upsampling() -> None:
    block = GeneratorBlock(3, 5, (7, 9)).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    up = nn.Upsample((7, 9))
    residual = block.conv2(torch.relu(block.norm2(block.conv1(up(torch.relu(block.norm1(x)))))))
    torch.testing.assert_close(block(x), residual + block.shortcut(up(x)))


def test_two_halvings_are_the_authors_discriminator_for_cifar10() -> None:
    """dis_models/snresnet_32.py: four blocks as wide as the first, of which two halve; 8x8 is summed over."""
    net = ResNetDiscriminator((3, 32, 32), channels=4, growth=1, halvings=2)
    assert [block.down for block in net.blocks] == [True, True, False, False]
    assert [tuple(block.conv1.weight.shape[:2]) for block in net.blocks] == [(4, 3), (4, 4), (4, 4), (4, 4)]
    assert net.blocks(torch.randn(1, 3, 32, 32)).shape == (1, 4, 8, 8)
    assert [block.down for block in ResNetDiscriminator((3, 32, 32), channels=4).blocks] == [True, True, True, False]


def test_the_generator_draws_a_multiple_of_the_batch_under_its_conditions() -> None:
    spec = DataSpec((1, 8, 8), 17, num_classes=3, condition=Condition("label", 3))
    gan = SNGAN(spec, generator_channels=2, discriminator_channels=2, latent_dim=4, generator_batch=2)
    y = torch.tensor([2, 0])
    fake, context = gan.judged(Batch(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), y))
    assert fake.shape == (4, 1, 8, 8)
    torch.testing.assert_close(context, gan.context(torch.tensor([2, 2, 0, 0]), 4))
    torch.manual_seed(3)
    loss = gan.eval().generator_loss(Batch(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), y))["loss"]
    torch.manual_seed(3)
    fake, context = gan.judged(Batch(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), y))
    torch.testing.assert_close(loss, -gan.discriminator(fake, context).mean())


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 28, 28), (3, 64, 33)])
def test_any_image_size_is_drawn_and_judged(shape: tuple[int, int, int]) -> None:
    gan = SNGAN(DataSpec(shape, 256), generator_channels=2, discriminator_channels=2, latent_dim=4)
    fake = gan.generate(2)
    assert fake.shape == (2, *shape) and gan.discriminator(fake).shape == (2,)


@pytest.mark.parametrize("condition", [None, Condition("label", 3)])
def test_the_critic_is_what_training_compares(condition: Condition | None) -> None:
    spec = DataSpec((1, 8, 8), 17, num_classes=3, condition=condition)
    gan = SNGAN(spec, generator_channels=2, discriminator_channels=2, latent_dim=4).eval()
    batch = Batch(torch.randint(17, (5, 1, 8, 8), dtype=torch.uint8), torch.arange(5) % 3 if condition else None)
    value = gan.discriminate(to_space(batch.x, spec), batch.y)
    assert value.shape == (5,) and value.std() > 0
    torch.testing.assert_close(value.mean(), gan.discriminator_loss(batch)["real"])
