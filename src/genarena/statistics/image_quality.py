"""Quality of restored images, one value per image: PSNR and SSIM.

SSIM: Wang, Bovik, Sheikh & Simoncelli 2004, doi 10.1109/TIP.2003.819861, with its Gaussian window of 11 x 11 and std 1.5,
K = (.01, .03), population covariances, and only the places where the whole window lies in the image.

Differs from the paper: channels are scored one by one and averaged. An image with a side below 11 gets the largest odd
window that fits, of the same std; its SSIM does not compare with that of larger images.
"""

import torch
from torch import Tensor
from torch.nn import functional

WINDOW, STD, K = 11, 1.5, (0.01, 0.03)


def mean_squared_error(x: Tensor, reference: Tensor) -> Tensor:
    """(N,) float64 mean squared differences of images (N, C, H, W)."""
    return (x.double() - reference.double()).square().flatten(1).mean(1)


def psnr(x: Tensor, reference: Tensor) -> Tensor:
    """(N,) float64 dB: -10 log10 of the mean squared error, for images in [0, 1]; infinite for equal images."""
    return -10.0 * mean_squared_error(x, reference).log10()


def window_of(height: int, width: int) -> int:
    """The side of SSIM's window: 11, or the largest odd number that fits in the image."""
    side = min(WINDOW, height, width)
    return side if side % 2 else side - 1


def ssim(x: Tensor, reference: Tensor) -> Tensor:
    """(N,) float64 structural similarity of images (N, C, H, W) in [0, 1]; 1 for equal images."""
    x, reference = x.double(), reference.double()
    kernel = gaussian(window_of(*x.shape[-2:]), STD)
    mean_x, mean_y = filtered(x, kernel), filtered(reference, kernel)
    var_x = filtered(x.square(), kernel) - mean_x.square()
    var_y = filtered(reference.square(), kernel) - mean_y.square()
    covariance = filtered(x * reference, kernel) - mean_x * mean_y
    c_1, c_2 = (k**2 for k in K)
    luminance = (2 * mean_x * mean_y + c_1) / (mean_x.square() + mean_y.square() + c_1)
    structure = (2 * covariance + c_2) / (var_x + var_y + c_2)
    return (luminance * structure).flatten(1).mean(1)


def gaussian(side: int, std: float) -> Tensor:
    """(side,) float64 weights of a Gaussian window, which sum to 1."""
    places = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    weights = torch.exp(-0.5 * (places / std).square())
    return weights / weights.sum()


def filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Images (N, C, H, W), each channel filtered with `kernel` along rows and columns, where all of it is in the image."""
    kernel = kernel.to(x)
    planes = x.flatten(0, 1)[:, None]
    planes = functional.conv2d(functional.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return planes[:, 0].unflatten(0, x.shape[:2])
