"""Images as sequences of tokens: blocks of one channel's pixels, whose levels together are one number."""

import torch
from torch import Tensor

from genarena.nets.sizes import divisors, fitting
from genarena.spec import DataSpec

LARGEST_VOCABULARY = 4096


class BlockTokens:
    """A bijection of images (N, C, H, W) of L levels and tokens (N, T), T = C H W / pixels, below the vocabulary L^pixels.

    side: of the blocks. None: 2 for two levels (16 symbols), else 1; and 1 along a side of the image that 2 does not divide.
        Order: rows of blocks, then columns, then channels; in a block rows, then columns, the first
        pixel the most significant digit.
    Raises ValueError for a side that does not divide the image, and for a vocabulary of more than 4096.
    """

    def __init__(self, spec: DataSpec, side: int | None = None) -> None:
        self.spec, (channels, height, width) = spec, spec.shape
        usual = side or (2 if spec.num_levels == 2 else 1)
        if side is not None:
            fitting("block", side, side, divisors(height, width), f"images of {height}x{width}")
        self.block = tuple(usual if length % usual == 0 else 1 for length in (height, width))
        self.num_pixels = self.block[0] * self.block[1]
        self.vocabulary = spec.num_levels**self.num_pixels
        if self.vocabulary > LARGEST_VOCABULARY:
            raise ValueError(
                f"block={usual}: {spec.num_levels} levels in blocks of {self.num_pixels} make a vocabulary of "
                f"{self.vocabulary}; expected at most {LARGEST_VOCABULARY}"
            )
        self.grid = (height // self.block[0], width // self.block[1], channels)
        self.num_tokens = self.grid[0] * self.grid[1] * channels

    def encode(self, x: Tensor) -> Tensor:
        """(N, C, H, W) levels to (N, T) int64."""
        return self.join(self.blocks(x))

    def blocks(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to its blocks (N, T, pixels); `image` goes back."""
        (rows, columns, channels), (high, wide) = self.grid, self.block
        blocks = x.reshape(len(x), channels, rows, high, columns, wide).permute(0, 2, 4, 1, 3, 5)
        return blocks.reshape(len(x), self.num_tokens, self.num_pixels)

    def join(self, levels: Tensor) -> Tensor:
        """Levels (..., pixels) of blocks to tokens (...), int64."""
        powers = self.spec.num_levels ** torch.arange(self.num_pixels - 1, -1, -1, device=levels.device)
        return (levels.long() * powers).sum(-1)

    def image(self, levels: Tensor) -> Tensor:
        """(N, T, pixels) levels of all blocks to images (N, C, H, W), of the same type."""
        (rows, columns, channels), (high, wide) = self.grid, self.block
        blocks = levels.reshape(len(levels), rows, columns, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
        return blocks.reshape(len(levels), *self.spec.shape)

    def place(self, token: int, pixel: int) -> dict[str, int]:
        """Channel, row and column of a pixel of a token."""
        cell, channel = divmod(token, self.grid[2])
        (row, column), (down, right) = divmod(cell, self.grid[1]), divmod(pixel, self.block[1])
        return {"channel": channel, "row": row * self.block[0] + down, "column": column * self.block[1] + right}
