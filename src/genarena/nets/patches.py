"""Images as squares of pixels: p x p of them are folded into the channels of one position."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from genarena.nets.sizes import fitting


def patch_of(asked: int | None, size: Sequence[int], usual: int | None = None) -> int:
    """The side of the squares for images (H, W) = `size`; None: the usual one, 2 for 16 pixels and more, else 1. It need not
    divide the sides. Raises ValueError for squares larger than the image."""
    usual = usual or (2 if min(size) >= 16 else 1)
    return fitting("patch", asked, usual, range(1, max(usual, *size) + 1), f"images of {size[0]}x{size[1]}")


def fold(x: Tensor, patch: int) -> Tensor:
    """(N, C, H, W) to (N, C p^2, H / p, W / p); zeros are added at the right and below where p does not divide the size."""
    height, width = x.shape[-2:]
    return F.pixel_unshuffle(F.pad(x, (0, -width % patch, 0, -height % patch)), patch)


def unfold(x: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """The inverse of `fold` for images of (H, W) = `size`."""
    return F.pixel_shuffle(x, patch)[..., : size[0], : size[1]]


def require_image(shape: Sequence[int], network: str) -> tuple[int, int]:
    """(H, W) of images (C, H, W). Raises ValueError, which names the network, for another shape."""
    if len(shape) != 3:
        raise ValueError(f"{network}: shape={tuple(shape)}: this network is for images, (C, H, W)")
    return shape[1], shape[2]
