"""Bicubic interpolation against scipy."""

import torch
from scipy import ndimage

from genarena.tasks.floors.bicubic import Bicubic, enlarged, weights
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.mask import identity


def test_it_is_that_of_scipy() -> None:
    """Whose prefilter is exact for sides of 28 pixels, and is cut short on small images."""
    y = torch.rand(1, 1, 28, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for k in (2, 3, 4):
        wanted = ndimage.zoom(y[0, 0].numpy(), k, order=3, mode="reflect", grid_mode=True)
        assert torch.allclose(enlarged(y, k)[0, 0], torch.from_numpy(wanted), atol=1e-12)


def test_it_goes_through_the_pixels_and_keeps_constants() -> None:
    y = torch.rand(1, 1, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(enlarged(y, 3)[..., 1::3, 1::3], y, atol=1e-12)
    for side in (1, 2, 5):
        assert torch.allclose(weights(side, 4).sum(1), torch.ones(4 * side, dtype=torch.float64))


def test_it_fits_means_of_blocks() -> None:
    floor = Bicubic(torch.zeros(1, 1, 4, 4))
    assert floor.fits(BlockMean((1, 4, 4), 2), 0.05) and not floor.fits(identity((1, 4, 4)), 0.05)
