"""Two causal streams with strides (PixelCNN++, Salimans et al. 2017, arXiv 1701.05517, fig. 2).

`down` sees the rows above, `right` also the pixels to the left; both go through gated residual blocks at full size, half size,
... and back, with a skip connection per block (sec. 2.3 and 2.4). A stride of two looks at rows and columns 2r - 1 and 2r,
and the way back puts what it found at 2r and 2r + 1: no output sees its own pixel or a later one.

Every convolution goes through `run`, so that a cache can do it for one row or pixel (`models/autoregressive/strided_cache.py`).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import linear
from genarena.nets.masked import shift_down, shift_right

Run = Callable[[nn.Module, Tensor | None], Tensor | None]
Maps = list[list[Tensor]]  # by level, then by block


class CausalConv2d(nn.Conv2d):
    """2x3 kernel that ends in its own row (`right` False), or 2x2 that ends in its own pixel. level: halvings of its input."""

    def __init__(self, in_channels: int, out_channels: int, right: bool, stride: int = 1, level: int = 0) -> None:
        super().__init__(in_channels, out_channels, (2, 2 if right else 3), stride)
        self.level, self.sides = level, (1, 0) if right else (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (*self.sides, 1, 0)))

    def of_rows(self, rows: Tensor) -> Tensor:
        """The output for the last of two rows (N, C, 2, W): (N, out, 1, W / stride)."""
        return super().forward(F.pad(rows, self.sides))

    def of_window(self, window: Tensor) -> Tensor:
        """The output for the last pixel of a window (N, C, 2, 2): (N, out, 1, 1)."""
        return super().forward(window)


class CausalUp2d(nn.ConvTranspose2d):
    """Twice the size, cut to `size`. level: halvings of its output."""

    def __init__(self, channels: int, right: bool, size: tuple[int, int], level: int) -> None:
        super().__init__(channels, channels, (2, 2 if right else 3), 2)
        self.level, self.size, self.side = level, size, 0 if right else 1

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        return super().forward(x)[:, :, :height, self.side : self.side + width]


class GatedResidual(nn.Module):
    """x + a sigmoid(b),   (a, b) = conv(e(conv(e(x)) + link e(other))) + V c,   e(h) = elu([h, -h])."""

    def __init__(self, channels: int, right: bool, level: int, other: int, dropout: float, context: int) -> None:
        super().__init__()
        self.first = CausalConv2d(2 * channels, channels, right, level=level)
        self.second = CausalConv2d(2 * channels, 2 * channels, right, level=level)
        self.link = nn.Conv2d(2 * other, channels, 1) if other else None
        self.dropout, self.context = nn.Dropout(dropout), linear(context, 2 * channels)

    def forward(self, x: Tensor, other: Tensor | None, context: Tensor | None, run: Run) -> Tensor:
        h = run(self.first, signed_elu(x))
        if other is not None:
            h = h + self.link(signed_elu(other))
        h = run(self.second, self.dropout(signed_elu(h)))
        if self.context is not None:
            h = h + self.context(context)[:, :, None, None]
        values, gates = h.chunk(2, 1)
        return x + values * torch.sigmoid(gates)


class Stream(nn.Module):
    """One of both streams. sizes: (H, W) at every level. A `right` stream is told what the other one found at each block."""

    def __init__(
        self,
        channels: int,
        num_blocks: int,
        sizes: Sequence[tuple[int, int]],
        right: bool,
        dropout: float,
        context: int,
    ) -> None:
        super().__init__()
        self.last_level = len(sizes) - 1

        def blocks(level: int, number: int, other: int) -> nn.ModuleList:
            return nn.ModuleList(GatedResidual(channels, right, level, other, dropout, context) for _ in range(number))

        levels, seen = range(len(sizes)), channels if right else 0
        self.encoder = nn.ModuleList(blocks(level, num_blocks, seen) for level in levels)
        self.decoder = nn.ModuleList(
            blocks(level, num_blocks + (level < self.last_level), seen + channels) for level in levels
        )
        self.downs = nn.ModuleList(CausalConv2d(channels, channels, right, 2, level) for level in levels[:-1])
        self.ups = nn.ModuleList(CausalUp2d(channels, right, sizes[level], level) for level in levels[:-1])

    def encode(self, h: Tensor, others: Maps | None, context: Tensor | None, run: Run) -> Maps:
        """What enters each level and leaves each of its blocks, as far as `run` goes down."""
        found: Maps = []
        for level, blocks in enumerate(self.encoder):
            found.append([h])
            for index, block in enumerate(blocks):
                h = block(h, others[level][index + 1] if others else None, context, run)
                found[-1].append(h)
            h = run(self.downs[level], h) if level < self.last_level else None
            if h is None:
                break
        return found

    def decode(self, skips: Maps, others: Maps | None, context: Tensor | None, run: Run) -> Maps:
        """What leaves each block on the way back, by level; the last of level 0 is the output."""
        found: Maps = [[] for _ in skips]
        deepest = len(skips) - 1
        h = skips[-1].pop() if deepest == self.last_level else run(self.ups[deepest], None)
        for level in reversed(range(len(skips))):
            for index, (block, skip) in enumerate(zip(self.decoder[level], reversed(skips[level]), strict=True)):
                h = block(h, torch.cat([others[level][index], skip], 1) if others else skip, context, run)
                found[level].append(h)
            h = run(self.ups[level - 1], h) if level else h
        return found


class CausalStreams(nn.Module):
    """Features (N, channels, H, W) of every pixel from those before it, x (N, in_channels, H, W).

    halvings: how often the size is halved, rounded up. num_blocks: of each stream at each size, on the way down.
    Raises ValueError if the smaller side has no `halvings` halves.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_blocks: int,
        halvings: int,
        size: tuple[int, int],
        dropout: float,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        if 2**halvings > min(size):
            raise ValueError(f"halvings={halvings}: too many for images of {size[0]}x{size[1]}")
        sizes = [(-(-size[0] // 2**level), -(-size[1] // 2**level)) for level in range(halvings + 1)]
        self.above = nn.Conv2d(in_channels, channels, (2, 3))
        self.row_above = nn.Conv2d(in_channels, channels, (1, 3))
        self.left = nn.Conv2d(in_channels, channels, (2, 1))
        self.down = Stream(channels, num_blocks, sizes, False, dropout, context_features)
        self.right = Stream(channels, num_blocks, sizes, True, dropout, context_features)
        self.in_channels = in_channels
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        down = self.streamed_down(shift_down(self.above(F.pad(x, (1, 1, 1, 0)))), context, call)
        first = shift_down(self.row_above(F.pad(x, (1, 1)))) + shift_right(self.left(F.pad(x, (0, 0, 1, 0))))
        return self.streamed_right(first, down, context, call)

    def streamed_down(self, h: Tensor, context: Tensor | None, run: Run) -> tuple[Maps, Maps]:
        """What the first stream finds on both ways."""
        encoded = self.down.encode(h, None, context, run)
        return encoded, self.down.decode([[*maps] for maps in encoded], None, context, run)

    def streamed_right(self, h: Tensor, down: tuple[Maps, Maps], context: Tensor | None, run: Run) -> Tensor:
        """The output of the second stream, which sees what the first one finds."""
        encoded = self.right.encode(h, down[0], context, run)
        return F.elu(self.right.decode(encoded, down[1], context, run)[0][-1])


def call(layer: nn.Module, x: Tensor | None) -> Tensor | None:
    return layer(x)


def signed_elu(x: Tensor) -> Tensor:
    """elu of x and of -x, as twice as many channels (Shang et al. 2016, arXiv 1603.05201)."""
    return F.elu(torch.cat([x, -x], 1))
