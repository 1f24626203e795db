"""Bottleneck blocks and the bottom-up network of very deep autoencoders (Child 2020, arXiv 2011.10650, fig. 3).

A block is a convolution of 1x1 to fewer channels, two of 3x3, and one of 1x1 back, each after a GELU. Below 3x3 pixels all are
1x1. The image is read in patches, and its sides are halved, rounding up, until one pixel is left.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import linear

Size = tuple[int, int]


class Bottleneck(nn.Sequential):
    """(N, in_channels, h, w) to (N, out_channels, h, w). spatial: whether the middle ones are 3x3. scale: factor on the first
    weights of the last convolution; 0 for an output that starts at zero."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, spatial: bool, scale: float = 1.0) -> None:
        kernel = 3 if spatial else 1
        super().__init__(
            nn.GELU(),
            nn.Conv2d(in_channels, middle, 1),
            nn.GELU(),
            nn.Conv2d(middle, middle, kernel, padding=kernel // 2),
            nn.GELU(),
            nn.Conv2d(middle, middle, kernel, padding=kernel // 2),
            nn.GELU(),
            nn.Conv2d(middle, out_channels, 1),
        )
        self[-1].weight.data *= scale
        for layer in list(self)[1::2]:
            nn.init.zeros_(layer.bias)


def resolutions(height: int, width: int, patch: int) -> list[Size]:
    """From 1x1 up to the image's size divided by `patch`. 28x28 in patches of 4: 1, 2, 4, 7."""
    sizes = [(-(-height // patch), -(-width // patch))]
    while max(sizes[-1]) > 1:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def blocks_at(blocks: Sequence[int], sizes: Sequence[Size], name: str) -> list[int]:
    """How many blocks each of the sizes has, given those of the finest size first; the last entry holds for all coarser ones.
    Raises ValueError for none, fewer than zero, and more entries than sizes."""
    if not blocks or min(blocks) < 0 or not sum(blocks) or len(blocks) > len(sizes):
        steps = ", ".join(f"{h}x{w}" for h, w in reversed(sizes))
        raise ValueError(f"{name}={list(blocks)}: expected a number of blocks, not all 0, for at most {steps}")
    return [blocks[min(len(sizes) - 1 - index, len(blocks) - 1)] for index in range(len(sizes))]


class BottomUp(nn.Module):
    """Images (N, C, H, W), and a context (N, F), to a map (N, width, h, w) of each size, coarsest first.

    blocks: residual blocks of each size, as `blocks_at` gives them.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        middle: int,
        sizes: Sequence[Size],
        blocks: Sequence[int],
        patch: int,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        kernel = 2 * (patch // 2) + 3 if patch > 1 else 3  # odd, wider than the stride
        self.stem = nn.Conv2d(in_channels, width, kernel, stride=patch, padding=kernel // 2)
        self.context = linear(context_features, width)
        scale = sum(blocks) ** -0.5
        self.levels = nn.ModuleList(
            nn.ModuleList(Bottleneck(width, middle, width, min(size) > 2, scale) for _ in range(num))
            for size, num in zip(reversed(sizes), reversed(blocks), strict=True)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> list[Tensor]:
        h = self.stem(x)
        if self.context is not None:
            h = h + self.context(context)[:, :, None, None]
        maps: list[Tensor] = []
        for level in self.levels:
            h = F.avg_pool2d(h, 2, ceil_mode=True) if maps else h
            for block in level:
                h = h + block(h)
            maps.append(h)
        return maps[::-1]
