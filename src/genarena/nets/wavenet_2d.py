"""Gated convolutions over rows and time, causal over rows: the network of WaveFlow.

Ping, Peng, Zhao & Song 2020 (arXiv 1912.01219), sec. 3.2. A layer is that of `wavenet.py`, with kernels of 3 rows by 3 places;
the last of the rows is the row itself. Places are dilated by 1, 2, 4, ..., rows are not. The input is moved down by a row, so
that a row depends on those before it only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genarena.nets.masked import shift_down

ABOVE = 2  # rows before its own that a kernel covers


class RowLayer(nn.Module):
    """One layer: from h (N, C, H, W) to the next h, or None after the last layer, and the skip (N, skip_channels, H, W)."""

    def __init__(self, channels: int, skip_channels: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.channels, self.dilation, self.last = channels, dilation, last
        self.conv = weight_norm(nn.Conv2d(channels, 2 * channels, (ABOVE + 1, 3), dilation=(1, dilation)))
        self.output = weight_norm(nn.Conv2d(channels, skip_channels + (0 if last else channels), 1))

    def forward(self, h: Tensor, rows: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """rows (N, C, ABOVE + H, W): h, and the rows above it. context: V c (N, 2 C, H, W), or None."""
        gated = self.conv(F.pad(rows, (self.dilation, self.dilation)))
        filters, gates = (gated if context is None else gated + context).chunk(2, 1)
        out = self.output(torch.tanh(filters) * torch.sigmoid(gates))
        if self.last:
            return None, out
        residual, skip = out.split([self.channels, out.shape[1] - self.channels], 1)
        return h + residual, skip


class GatedRows(nn.Module):
    """x (N, in_channels, H, W) to the sum of skips (N, skip_channels, H, W); row r depends on rows before r.

    context_channels: of the condition (N, context_channels, H, W), of which row r sees rows up to r; 0: none.
    reach: places on each side of its own on which an output depends.
    """

    def __init__(
        self, in_channels: int, channels: int, skip_channels: int, num_layers: int, context_channels: int = 0
    ) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv2d(in_channels, channels, 1))
        self.layers = nn.ModuleList(
            RowLayer(channels, skip_channels, 2**index, index == num_layers - 1) for index in range(num_layers)
        )
        self.context = (
            weight_norm(nn.Conv2d(context_channels, 2 * channels * num_layers, 1)) if context_channels else None
        )

    @property
    def reach(self) -> int:
        return sum(layer.dilation for layer in self.layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        above = [None] * len(self.layers)
        return self.advance(shift_down(x), above, context)

    def advance(self, before: Tensor, above: list[Tensor | None], context: Tensor | None = None) -> Tensor:
        """The output of some rows. before (N, in_channels, H, W): the row before each.

        above: what the layers keep of the rows above these, (N, C, ABOVE, W) each, None at the top; it is brought up to date.
        """
        h, total = self.first(before), None
        locals_ = [None] * len(self.layers) if context is None else self.context(context).chunk(len(self.layers), 1)
        for index, (layer, local) in enumerate(zip(self.layers, locals_, strict=True)):
            kept = h.new_zeros(*h.shape[:2], ABOVE, h.shape[3]) if above[index] is None else above[index]
            rows = torch.cat([kept, h], 2)
            above[index] = rows[:, :, -ABOVE:]
            h, skip = layer(h, rows, local)
            total = skip if total is None else total + skip
        return total
