"""A `GatedPixelStack` one pixel at a time, for sampling: features that no later pixel changes are computed once."""

import torch
from torch import Tensor

from genarena.models.keeping import move
from genarena.nets.masked import GatedPixelStack, HorizontalConv2d, gate, shifted


class RowCache:
    """Keeps the last rows of every vertical layer and the current row of every horizontal layer.

    Call `start_row` at the start of each row, then `step` for each of its columns from the left. The features equal those
    of a full pass; an image costs one full pass in all instead of one per pixel.
    """

    def __init__(self, stack: GatedPixelStack, num_images: int, width: int, context: Tensor | None = None) -> None:
        self.stack = stack
        self.zeros = stack.vertical.weight.new_zeros
        layers = [stack, *stack.blocks]
        self.rows = [
            self.zeros(num_images, layer.vertical.in_channels, layer.vertical.num_above + 1, width) for layer in layers
        ]
        self.lefts = [
            self.zeros(num_images, layer.horizontal.num_left + width, layer.horizontal.in_channels) for layer in layers
        ]
        self.kernels = [_as_matrix(layer.horizontal) for layer in layers]
        self.residuals = [block.residual.weight.flatten(1).t().contiguous() for block in stack.blocks]
        self.shifts = [block.shifts(context) for block in stack.blocks]
        self.biases = stack.biases(context)
        self.offsets: list[Tensor] = []
        self.row = -1

    def start_row(self, above: Tensor) -> None:
        """`above` (N, C, W): the finished row above as the network sees it; zeros before the first row."""
        self.row += 1
        vertical = self.stack.vertical.last_row(self._push(0, above.unsqueeze(2)))
        vertical = vertical + self.biases[:, :, self.row : self.row + 1]
        self.offsets = []
        for index, block in enumerate(self.stack.blocks):
            for_vertical, for_horizontal = self.shifts[index]
            last = block.vertical.last_row(self._push(index + 1, vertical))
            vertical = vertical + gate(shifted(last, for_vertical))
            offset = shifted(block.link(vertical).squeeze(2) + block.horizontal.bias[:, None], for_horizontal)
            self.offsets.append(offset.permute(2, 0, 1).contiguous())  # (W, N, 2 channels)

    def step(self, column: int, left: Tensor) -> Tensor:
        """Features (N, out_channels) of this pixel; `left` (N, C) is the pixel before it, zeros in the first column."""
        horizontal = torch.addmm(self.stack.horizontal.bias, self._window(0, column, left), self.kernels[0])
        features = []
        for index, block in enumerate(self.stack.blocks):
            window = self._window(index + 1, column, horizontal)
            gated = gate(torch.addmm(self.offsets[index][column], window, self.kernels[index + 1]))
            horizontal = horizontal + torch.addmm(block.residual.bias, gated, self.residuals[index])
            features.append(horizontal)
        return torch.cat(features, 1)

    def select(self, index: Tensor) -> None:
        """Image n goes on from the past of image index[n], (num_images,)."""
        move(index, *self.rows, *self.lefts)
        move(index, *self.offsets, dim=1)

    def _push(self, index: int, row: Tensor) -> Tensor:
        self.rows[index] = torch.cat([self.rows[index][:, :, 1:], row], 2)
        return self.rows[index]

    def _window(self, index: int, column: int, value: Tensor) -> Tensor:
        """Write `value` (N, C) at `column` and return the inputs that the kernel covers there, (N, taps * C)."""
        conv, row = ([self.stack, *self.stack.blocks][index]).horizontal, self.lefts[index]
        row[:, conv.num_left + column] = value
        return row[:, column : column + conv.num_left + 1 : conv.dilation[1]].flatten(1)


def _as_matrix(conv: HorizontalConv2d) -> Tensor:
    """(out, in, 1, taps) to (taps * in, out)."""
    return conv.weight.squeeze(2).permute(2, 1, 0).flatten(0, 1).contiguous()
