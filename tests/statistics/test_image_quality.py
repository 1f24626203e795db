"""PSNR and SSIM against closed forms and torchmetrics."""

import math

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from genarena.statistics.image_quality import K, psnr, ssim, window_of


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
