"""Causal convolutions for raster-scan models: shifts and one-sided kernels instead of masks, and the gated block.

A masked k x k kernel spends half of its arithmetic on zeros. Here the vertical kernel has only the k // 2 + 1 rows that it
may see, and the horizontal kernel only the k // 2 + 1 columns. Shifting the input once makes the stack strictly causal.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import TextAttention, heads_of
from genarena.nets.conditioning import linear, states
from genarena.nets.layers import Layered, numbered


def shift_down(x: Tensor) -> Tensor:
    """(N, C, H, W): row r holds what was row r - 1; the first row is zero."""
    return F.pad(x, (0, 0, 1, -1))


def shift_right(x: Tensor) -> Tensor:
    """(N, C, H, W): column c holds what was column c - 1; the first column is zero."""
    return F.pad(x, (1, -1))


def gate(x: Tensor) -> Tensor:
    """tanh(a / 2) * sigmoid(b), where a and b are the two halves of the channels (dimension 1).

    tanh(a / 2) = 2 sigmoid(a) - 1, so one sigmoid over all channels is enough: on a CPU it is twice as fast as a tanh and a
    sigmoid of the halves. The weights of the layer before absorb the factor 1/2, which the paper does not have.
    """
    a, b = torch.sigmoid(x).chunk(2, 1)
    return torch.addcmul(-b, a, b, value=2.0)


def shifted(x: Tensor, shift: Tensor | None) -> Tensor:
    """x (N, C, ...) plus the same (N, C) at all places, if there is one."""
    return x if shift is None else x + shift[(...,) + (None,) * (x.ndim - 2)]


class VerticalConv2d(nn.Conv2d):
    """(k // 2 + 1) x k convolution: the output at (r, c) sees rows r - k // 2 .. r and columns c - k // 2 .. c + k // 2.

    A dilation multiplies these distances.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        rows, side = kernel_size // 2 + 1, kernel_size // 2 * dilation
        super().__init__(in_channels, out_channels, (rows, kernel_size), dilation=dilation, padding=(0, side))
        self.num_above = (rows - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 0, self.num_above, 0)))

    def last_row(self, rows: Tensor) -> Tensor:
        """The output for the last of `rows` (N, C, num_above + 1, W), without padding above: (N, out, 1, W)."""
        return super().forward(rows)


class HorizontalConv2d(nn.Conv2d):
    """1 x (k // 2 + 1) convolution: the output at (r, c) sees columns c - k // 2 .. c of row r.

    A dilation multiplies the distance.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__(in_channels, out_channels, (1, kernel_size // 2 + 1), dilation=(1, dilation))
        self.num_left = kernel_size // 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.num_left, 0)))


class GatedBlock(nn.Module):
    """One layer of the Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328, fig. 2) on both stacks."""

    def __init__(self, channels: int, kernel_size: int, dilation: int = 1, context_features: int = 0) -> None:
        super().__init__()
        self.vertical = VerticalConv2d(channels, 2 * channels, kernel_size, dilation)
        self.link = nn.Conv2d(channels, 2 * channels, 1)
        self.horizontal = HorizontalConv2d(channels, 2 * channels, kernel_size, dilation)
        self.residual = nn.Conv2d(channels, channels, 1)
        self.context = linear(context_features, 4 * channels)

    def forward(self, vertical: Tensor, horizontal: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The vertical and the horizontal stack, (N, channels, H, W) each, in and out; context (N, F)."""
        for_vertical, for_horizontal = self.shifts(context)
        vertical = vertical + gate(shifted(self.vertical(vertical), for_vertical))
        gated = gate(shifted(self.horizontal(horizontal) + self.link(vertical), for_horizontal))
        return vertical, horizontal + self.residual(gated)

    def shifts(self, context: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """What the context adds before each gate, the same everywhere (eq. 4): (N, 2 channels) each, or nothing."""
        return (None, None) if self.context is None else self.context(context).chunk(2, 1)


class GatedPixelStack(Layered, nn.Module):
    """Features of every pixel from the pixels before it in raster order: (N, C, H, W) floats to (N, out_channels, H, W).

    The `num_blocks` blocks take their dilations from `dilations` in turn. The features are the outputs of the horizontal
    stack after every block, concatenated. A linear layer on them is the sum of one skip connection per block.
    size: (H, W). The vertical stack has a learned bias per position: a few narrow layers see only a part of the image, and
    not how far its border is. Without the bias, generated strokes run out of the picture.
    with_states: the context (N, 1 + L, F) has states of words too; every position attends to them, and what it finds is added
    to its bias.
    Raises ValueError for a kernel size that is even or below 3, for channels, num_blocks or a dilation below 1, and for no
    dilations.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_blocks: int,
        kernel_size: int,
        first_kernel_size: int,
        dilations: Sequence[int],
        size: tuple[int, int],
        context_features: int = 0,
        with_states: bool = False,
    ) -> None:
        super().__init__()
        for name, taps in (("kernel_size", kernel_size), ("first_kernel_size", first_kernel_size)):
            if taps < 3 or taps % 2 == 0:
                raise ValueError(f"{name}={taps}: expected an odd number, at least 3")
        if min(channels, num_blocks, *dilations, 1) < 1 or not dilations:
            raise ValueError(
                f"channels={channels}, num_blocks={num_blocks}, dilations={list(dilations)}: expected "
                f"numbers that are at least 1"
            )
        self.vertical = VerticalConv2d(in_channels, channels, first_kernel_size)
        self.horizontal = HorizontalConv2d(in_channels, channels, first_kernel_size)
        self.position = nn.Parameter(torch.zeros(1, channels, *size))
        self.places = nn.Parameter(torch.randn(1, size[0] * size[1], channels)) if with_states else None
        self.text = TextAttention(channels, context_features, heads_of(channels, 32)) if with_states else None
        self.blocks = nn.ModuleList(
            GatedBlock(channels, kernel_size, dilations[index % len(dilations)], context_features)
            for index in range(num_blocks)
        )
        self.in_channels, self.out_channels = in_channels, channels * num_blocks
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        vertical = (self.vertical(shift_down(x)) + self.biases(context)).contiguous(memory_format=torch.channels_last)
        horizontal = self.horizontal(shift_right(x)).contiguous(memory_format=torch.channels_last)
        features = []
        for block in self.blocks:
            vertical, horizontal = block(vertical, horizontal, context)
            features.append(horizontal)
        return torch.cat(features, 1)

    def biases(self, context: Tensor | None) -> Tensor:
        """Of each position, (1, channels, H, W), or (N, channels, H, W) where there are states of words."""
        if self.text is None:
            return self.position
        found = self.text(self.places.expand(len(context), -1, -1), self.text.text(states(context)))
        return self.position + found.mT.unflatten(2, self.position.shape[2:])

    def layers(self) -> dict[str, nn.Module]:
        """The horizontal stack after each block."""
        return numbered(self.blocks)
