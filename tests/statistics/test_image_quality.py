"""PSNR and SSIM against closed forms, torchmetrics and scikit-image; and what other definitions of them give."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from genarena.statistics.image_quality import STD, K, psnr, ssim, window_of


def test_psnr_is_of_each_image() -> None:
    x = torch.zeros(2, 3, 4, 4)
    y = x.clone()
    y[0] += 0.1
    y[1, 0] += 0.3  # a third of the numbers
    assert psnr(y, x).tolist() == pytest.approx([20.0, -10 * math.log10(0.03)], abs=1e-6)
    assert psnr(x, x).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 24)])
def test_ssim_agrees_with_torchmetrics_where_the_window_lies_in_the_image(shape: tuple[int, ...]) -> None:
    """torchmetrics also counts places at the edge, with reflected pixels; they are cut off here."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, *shape, generator=generator, dtype=torch.float64)
    y = (x + 0.2 * torch.randn(x.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    _, everywhere = structural_similarity_index_measure(y, x, data_range=1.0, reduction="none", return_full_image=True)
    assert everywhere.shape == x.shape
    theirs = everywhere[..., 5:-5, 5:-5].flatten(1).mean(1)
    assert torch.allclose(ssim(y, x), theirs, atol=1e-6)


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    x, y = torch.full((1, 1, 8, 8), 0.5), torch.full((1, 1, 8, 8), 0.25)
    c = K[0] ** 2
    assert ssim(y, x).item() == pytest.approx((2 * 0.125 + c) / (0.25 + 0.0625 + c), rel=1e-9)


def test_the_window_fits_into_small_images() -> None:
    assert [window_of(side, 64) for side in (64, 11, 10, 8, 5, 1)] == [11, 11, 9, 7, 5, 1]


def pairs(num: int = 6, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Images of strokes on black, as digits are, and noisy ones, both in 8 bit."""
    places = torch.linspace(-1, 1, 28, dtype=torch.float64)
    angle = torch.arange(num * channels, dtype=torch.float64).view(num, channels, 1, 1)
    off = (places * angle.cos() + places[:, None] * angle.sin()).abs()  # from a line
    x = (1.2 - 6.0 * off).clamp(0, 1) * (places.square() + places[:, None].square() < 0.6)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return tuple((each.clamp(0, 1) * 255).round() / 255 for each in (x, x + 0.15 * noise))


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image_with_the_window_of_the_paper(channels: int) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    x, y = (each.numpy() for each in pairs(channels=channels))
    wang = {"gaussian_weights": True, "sigma": STD, "use_sample_covariance": False, "data_range": 1.0}

    def theirs(**options: object) -> np.ndarray:
        """Of each image; it leaves out the places at the edge."""
        one = metrics.structural_similarity
        return np.array([one(*both, channel_axis=0, **options) for both in zip(x, y, strict=True)])

    ours = ssim(torch.from_numpy(y), torch.from_numpy(x)).numpy()
    assert np.abs(theirs(**wang) - ours).max() < 1e-9
    others = (  # each is called SSIM somewhere; by what it is off at least
        ({"data_range": 1.0}, 1e-2),  # its default: a uniform window of 7, and sample covariances
        (wang | {"data_range": 2.0}, 1e-2),  # images taken for [-1, 1]
        (wang | {"use_sample_covariance": True}, 1e-6),
    )
    for options, gap in others:
        assert np.abs(theirs(**options) - ours).max() > gap, options
    theirs_psnr = [metrics.peak_signal_noise_ratio(*both, data_range=1.0) for both in zip(x, y, strict=True)]
    assert np.abs(psnr(torch.from_numpy(y), torch.from_numpy(x)).numpy() - theirs_psnr).max() < 1e-9


def test_places_at_the_edge_and_the_range_change_the_number() -> None:
    x, y = pairs()
    ours, edge = ssim(y, x).mean(), structural_similarity_index_measure(y, x, data_range=1.0)
    assert abs(edge - ours) > 0.05  # torchmetrics counts the edge, with reflected pixels
    assert ssim(2.0 * y, 2.0 * x).mean() != pytest.approx(ours.item(), abs=1e-3)


def test_the_mean_of_psnrs_is_above_the_psnr_of_the_mean() -> None:
    x, y = pairs()
    errors = (y - x).square().flatten(1).mean(1) * torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    values = psnr(errors.sqrt().view(-1, 1, 1, 1).expand(x.shape), torch.zeros_like(x))
    assert values.mean() > -10 * errors.mean().log10() + 1.0  # Jensen; ours is the first
