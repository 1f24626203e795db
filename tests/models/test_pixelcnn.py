"""Causality, exact normalisation and sampling of the Gated PixelCNN."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor

from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.nets.masked import HorizontalConv2d, VerticalConv2d
from genarena.spec import DataSpec


def small_model(shape: tuple[int, ...], num_levels: int, pixels: str = "auto", spread: float = 1.0) -> PixelCNN:
    """A model with random weights, `spread` times as large as at the start, so that nothing is close to uniform."""
    torch.manual_seed(3)
    model = PixelCNN(
        DataSpec(shape, num_levels),
        hidden_channels=8,
        num_blocks=3,
        dilations=(1, 2),
        head_channels=16,
        pixels=pixels,
        num_mixtures=3,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread)
    return model


def all_images(shape: tuple[int, ...], num_levels: int) -> Tensor:
    size = DataSpec(shape, num_levels).num_dims
    return torch.tensor(list(itertools.product(range(num_levels), repeat=size)), dtype=torch.uint8).view(-1, *shape)


def sample_naive(model: PixelCNN, num_samples: int) -> Tensor:
    """One full pass per pixel."""
    x = torch.zeros(num_samples, *model.spec.shape, dtype=torch.uint8)
    for row, column in itertools.product(*map(range, model.spec.shape[1:])):
        features = model.stack(model.inputs(x))[:, :, row, column]
        x[:, :, row, column] = model.draw_pixel(features)
    return x


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 5, 4)])
def test_an_output_depends_on_every_earlier_dimension_and_on_no_other(shape: tuple[int, ...]) -> None:
    """One level is changed at a time, in raster order, channels innermost; the outputs that move come after it."""
    model = small_model(shape, 256)
    torch.manual_seed(0)
    channels, height, width = shape
    size = channels * height * width
    original = torch.randint(128, (height, width, channels), dtype=torch.uint8)
    changed = original.flatten() + 100 * torch.eye(size, dtype=torch.uint8)

    def outputs(x: Tensor) -> Tensor:
        levels = x.view(-1, height, width, channels).permute(0, 3, 1, 2)
        per_channel = [output.double().abs().sum(1) for output in model.outputs(levels)]
        return torch.stack(per_channel, -1).flatten(1)

    with torch.no_grad():
        moved = outputs(changed) != outputs(original.flatten().expand(size, size))
    assert torch.equal(moved, torch.ones(size, size, dtype=torch.bool).triu(1))


@pytest.mark.parametrize(
    ("shape", "num_levels", "pixels"),
    [
        ((1, 2, 3), 2, "bernoulli"),
        ((1, 2, 2), 3, "categorical"),
        ((1, 2, 2), 3, "logistic_mixture"),
        ((3, 1, 2), 3, "categorical"),
        ((3, 1, 1), 8, "logistic_mixture"),
        ((3, 2, 1), 2, "bernoulli"),
        ((2, 1, 1), 17, "logistic"),
    ],
)
def test_the_masses_of_all_images_sum_to_one(shape: tuple[int, ...], num_levels: int, pixels: str) -> None:
    log_prob = small_model(shape, num_levels, pixels, spread=2.0).log_prob(all_images(shape, num_levels))
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert log_prob.std() > 0.1  # not the uniform model, which sums to one as well


@pytest.mark.parametrize(("shape", "num_levels"), [((1, 8, 9), 17), ((1, 7, 6), 2), ((3, 5, 6), 256)])
@torch.no_grad()
def test_cached_sampling_equals_one_full_pass_per_pixel(shape: tuple[int, ...], num_levels: int) -> None:
    model = small_model(shape, num_levels, spread=2.0)
    torch.manual_seed(0)
    cached = model.sample(6)
    torch.manual_seed(0)
    assert torch.equal(cached, sample_naive(model, 6))
    assert len(cached.unique()) > 1


@pytest.mark.parametrize(
    ("shape", "num_levels", "pixels"),
    [
        ((1, 2, 2), 3, "categorical"),
        ((1, 2, 2), 3, "logistic_mixture"),
        ((3, 1, 1), 4, "logistic_mixture"),
        ((2, 1, 2), 2, "bernoulli"),
    ],
)
@torch.no_grad()
def test_samples_occur_as_often_as_the_likelihood_says(shape: tuple[int, ...], num_levels: int, pixels: str) -> None:
    model, images = small_model(shape, num_levels, pixels, spread=1.5), all_images(shape, num_levels)
    model.sample_chunk = 7_000
    powers = num_levels ** torch.arange(images[0].numel() - 1, -1, -1)
    counts = (model.sample(40_000).flatten(1).long() @ powers).bincount(minlength=len(images)).double()
    expected = model.log_prob(images).double().exp() * 40_000
    order = expected.argsort()
    num_rare = int((expected < 10).sum())  # the test asks for 10 in every cell: the rare images share one
    cells = [
        torch.cat([value[order][: num_rare + 1].sum()[None], value[order][num_rare + 1 :]])
        for value in (counts, expected)
    ]
    assert len(cells[0]) > 8
    assert chisquare(cells[0].numpy(), (cells[1] * 40_000 / cells[1].sum()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("dilation", [1, 2])
def test_one_sided_kernels_are_masked_kernels_without_the_zeros(dilation: int) -> None:
    torch.manual_seed(0)
    x, side = torch.randn(2, 3, 9, 8), 2 * dilation
    vertical, horizontal = VerticalConv2d(3, 4, 5, dilation), HorizontalConv2d(3, 4, 5, dilation)
    masked_vertical = F.pad(vertical.weight, (0, 0, 0, 2))  # 5 x 5, nothing below the middle row
    masked_horizontal = F.pad(horizontal.weight, (0, 2))  # 1 x 5, nothing right of the middle
    for conv, weight, padding in ((vertical, masked_vertical, side), (horizontal, masked_horizontal, (0, side))):
        torch.testing.assert_close(conv(x), F.conv2d(x, weight, conv.bias, padding=padding, dilation=dilation))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size=4"),
        ({"first_kernel_size": 1}, "first_kernel_size=1"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"pixels": "bernoulli"}, "num_levels=2"),
        ({"dilations": ()}, "dilations"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelCNN(DataSpec((1, 4, 4), 17), **options)


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="pixelcnn models images"):
        PixelCNN(DataSpec((2,)))
