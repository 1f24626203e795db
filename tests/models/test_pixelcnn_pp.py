"""PixelCNN++: causality by gradient through strides, masses that sum to one, cached samples, chained channels by hand."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.models.autoregressive.chained_logistics import ChainedLogistics
from genarena.models.autoregressive.pixelcnn_pp import PixelCNNPP
from genarena.spec import DataSpec


def small_model(
    shape: tuple[int, ...], num_levels: int, halvings: int = 2, spread: float = 1.5, blocks: int = 1
) -> PixelCNNPP:
    """A model with random weights, `spread` times as large as at the start, so that nothing is close to uniform."""
    torch.manual_seed(3)
    model = PixelCNNPP(
        DataSpec(shape, num_levels), hidden_channels=6, num_blocks=blocks, halvings=halvings, num_mixtures=3
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread)
    return model


@pytest.mark.parametrize(("shape", "halvings"), [((1, 6, 7), 0), ((2, 5, 4), 1), ((1, 7, 6), 2)])
def test_features_depend_on_every_earlier_pixel_and_on_no_other(shape: tuple[int, ...], halvings: int) -> None:
    """By gradient, for every pair of pixels. float64: no gradient of an earlier pixel is rounded to zero."""
    model = small_model(shape, 256, halvings, 1.0, blocks=2).double()
    x = torch.randn(1, shape[0] + 1, *shape[1:], dtype=torch.float64, requires_grad=True)
    features = model.streams(x).abs().sum(1).flatten()
    size = len(features)
    rows = [torch.autograd.grad(each, x, retain_graph=True)[0].abs().sum(1).flatten() for each in features]
    reached = torch.stack(rows) > 0  # (output, input)
    assert torch.equal(reached, torch.ones(size, size, dtype=torch.bool).tril(-1))


def test_a_channel_depends_on_the_channels_before_it_and_on_no_later_one() -> None:
    model = small_model((3, 4, 4), 256, 1)
    outputs = torch.randn(2, model.pixel.out_channels, 1, 1)
    x = torch.randint(256, (2, 3, 1, 1))
    for channel in range(3):
        means = model.pixel.channel(outputs, x[:, :channel]).mean
        changed = model.pixel.channel(outputs, (x[:, :channel] + 100) % 256).mean
        assert torch.equal(means, changed) == (channel == 0)


@pytest.mark.parametrize(("shape", "num_levels"), [((1, 2, 3), 2), ((1, 2, 2), 3), ((3, 1, 2), 3)])
def test_the_masses_of_all_images_sum_to_one(shape: tuple[int, ...], num_levels: int) -> None:
    size = math.prod(shape)
    images = torch.tensor(list(itertools.product(range(num_levels), repeat=size)), dtype=torch.uint8).view(-1, *shape)
    log_prob = small_model(shape, num_levels, 0, 2.0).log_prob(images)
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert log_prob.std() > 0.1  # not the uniform model, which sums to one as well


def test_the_256_masses_of_a_channel_given_those_before_sum_to_one() -> None:
    torch.manual_seed(0)
    chained = ChainedLogistics(3, 4, 256)
    outputs = torch.randn(1, chained.out_channels, 1, 1)
    before, levels = torch.tensor([[[[17]], [[203]]]]), torch.arange(256)[:, None, None, None]
    for channel in range(3):
        distribution = chained.channel(outputs.expand(256, -1, -1, -1), before[:, :channel].expand(256, -1, -1, -1))
        masses = distribution.log_prob(levels).double().exp()
        assert masses.sum().item() == pytest.approx(1.0, abs=1e-5)
        torch.testing.assert_close(masses.flatten(), distribution.probs()[0].flatten(), atol=1e-6, rtol=1e-4)


def test_the_density_of_a_pixel_is_the_product_over_its_channels_and_the_papers_mixture() -> None:
    """sum_k w_k P(r | k) P(g | r, k) P(b | r, g, k), with means m_g + a r and m_b + b r + c g (Salimans et al. 2017, eq. 3)."""
    torch.manual_seed(0)
    chained, x = ChainedLogistics(3, 2, 256), torch.tensor([[[[17]], [[203]], [[90]]]])
    outputs = torch.randn(1, chained.out_channels, 1, 1)
    total = chained.log_prob(outputs, x).item()
    parts = [chained.channel(outputs, x[:, :c]).log_prob(x[:, c : c + 1]).item() for c in range(3)]
    assert total == pytest.approx(sum(parts), abs=1e-4)
    rows = outputs.double().view(-1, 2)
    weight, (r, g, b) = rows[0].softmax(0), (x.double().flatten() / 127.5 - 1.0)
    a = rows[7:].tanh()
    means = [rows[1], rows[2] + a[0] * r, rows[3] + a[1] * r + a[2] * g]
    mass = weight.clone()
    for value, mean, log_scale in zip((r, g, b), means, rows[4:7], strict=True):
        edges = (torch.stack([value - 1 / 255, value + 1 / 255])[:, None] - mean) / log_scale.exp()
        mass = mass * torch.sigmoid(edges).diff(dim=0)[0]
    assert total == pytest.approx(mass.sum().log().item(), abs=1e-4)


def sample_naive(model: PixelCNNPP, num_samples: int) -> Tensor:
    """One full pass per pixel."""
    x = torch.zeros(num_samples, *model.spec.shape, dtype=torch.uint8)
    for row, column in itertools.product(*map(range, model.spec.shape[1:])):
        features = model.streams(model.inputs(x))[:, :, row, column]
        x[:, :, row, column] = model.draw_pixel(features).to(torch.uint8)
    return x


@pytest.mark.parametrize(
    ("shape", "num_levels", "halvings"), [((1, 8, 9), 17, 2), ((1, 7, 6), 2, 1), ((3, 5, 6), 256, 2)]
)
@torch.no_grad()
def test_cached_sampling_equals_one_full_pass_per_pixel(shape: tuple[int, ...], num_levels: int, halvings: int) -> None:
    model = small_model(shape, num_levels, halvings, 2.0)
    torch.manual_seed(0)
    cached = model.sample(4)
    torch.manual_seed(0)
    assert torch.equal(cached, sample_naive(model, 4))
    assert len(cached.unique()) > 1


@torch.no_grad()
def test_a_lane_that_goes_on_from_another_one_has_its_past() -> None:
    """All lanes take the past of lane 0 after every pixel, and the same noise: they are its copies."""
    model = small_model((1, 7, 6), 17, 2, 2.0)

    def first(distribution: object, **place: int) -> Tensor:
        return distribution.draw().flatten()[:1].expand(3) + torch.tensor([0.0, 1.0, 2.0]).fmod(17.0)

    torch.manual_seed(0)
    x = model.unroll(3, first, select=lambda: torch.zeros(3, dtype=torch.long))
    assert torch.equal(x[1], x[0]) and torch.equal(x[2], x[0])
    torch.manual_seed(0)
    torch.testing.assert_close(model.unroll(3, lambda d, **place: d.draw().flatten()[:1].expand(3))[0], x[0])


def test_images_too_small_for_their_halvings_are_refused() -> None:
    with pytest.raises(ValueError, match="halvings=3: too many for images of 7x6"):
        small_model((1, 7, 6), 2, 3)
    with pytest.raises(ValueError, match="PixelCNNPP models images"):
        PixelCNNPP(DataSpec((2,)))


def test_no_samples_are_an_empty_tensor() -> None:
    assert small_model((1, 4, 4), 3).sample(0).shape == (0, 1, 4, 4)
