"""Differentiable augmentation of what the discriminator sees (DiffAugment: Zhao et al. 2020, arXiv 2006.10738).

Differs from the paper: saturation is skipped on images of one channel, where it does nothing.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class DiffAugment:
    """T in D(T(x)) and D(T(G(z))): random per image, differentiable in the image.

    color: brightness +U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5).
    translation: largest shift as a share of the image, filled with 0.
    cutout: side of the erased rectangle as a share of the image.
    color=False, translation=0, cutout=0 is the identity. Raises ValueError for a share outside [0, 1).
    """

    color: bool = True
    translation: float = 0.125
    cutout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("translation", "cutout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}={getattr(self, name)}: must be a share of the image in [0, 1)")

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to the same shape."""
        if self.color:
            x = jitter_color(x)
        if self.translation:
            x = translate(x, self.translation)
        return cut_out(x, self.cutout) if self.cutout else x


def jitter_color(x: Tensor) -> Tensor:
    """Change brightness, saturation (of colour images) and contrast of each image (N, C, H, W) at random."""
    brightness, saturation, contrast = torch.rand(3, len(x), 1, 1, 1, device=x.device)
    x = x + brightness - 0.5
    if x.shape[1] > 1:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (2.0 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def translate(x: Tensor, share: float) -> Tensor:
    """Shift each image by whole pixels, at most round(share * size) each way."""
    n, _, height, width = x.shape
    reach_y, reach_x = round(share * height), round(share * width)
    rows = torch.arange(height, device=x.device) + torch.randint(0, 2 * reach_y + 1, (n, 1), device=x.device)
    columns = torch.arange(width, device=x.device) + torch.randint(0, 2 * reach_x + 1, (n, 1), device=x.device)
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y)).permute(0, 2, 3, 1)
    image = torch.arange(n, device=x.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(x: Tensor, share: float) -> Tensor:
    """Set a rectangle of round(share * size) pixels around a random pixel to 0; it may reach over the edge."""
    n, _, height, width = x.shape

    def inside(size: int) -> Tensor:
        side = round(share * size)
        first = torch.randint(0, size + 1 - side % 2, (n, 1), device=x.device) - side // 2
        offset = torch.arange(size, device=x.device) - first
        return (offset >= 0) & (offset < side)  # (N, size)

    erased = inside(height)[:, None, :, None] & inside(width)[:, None, None, :]
    return x.masked_fill(erased, 0.0)
