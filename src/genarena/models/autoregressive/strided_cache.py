"""`CausalStreams` one pixel at a time, for sampling: what no later pixel changes is computed once.

Ramachandran et al. 2017 (arXiv 1704.06001): a layer after k halvings has something new to say at every 2^k-th row and column.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.keeping import move
from genarena.nets.causal_streams import CausalStreams, CausalUp2d, Maps


class StridedCache:
    """Keeps of every convolution the inputs that its kernel still reaches.

    Call `start_row` at the start of each row, then `step` for each of its columns from the left. The features equal those of a
    full pass; an image costs one full pass in all instead of one per pixel.
    """

    def __init__(self, streams: CausalStreams, num_images: int, width: int, context: Tensor | None = None) -> None:
        self.streams, self.context, self.width = streams, context, width
        self.zeros = streams.above.weight.new_zeros
        self.rows: dict[nn.Module, Tensor] = {}  # the last row that a layer was given
        self.pixels: dict[nn.Module, Tensor] = {}  # the last two rows, with a column of zeros at their left
        self.pixel_rows: dict[nn.Module, int] = {}  # which row is the second of these
        self.ups: dict[nn.Module, Tensor] = {}  # what was found for two rows
        self.inputs = self.zeros(num_images, streams.in_channels, 2, width)  # the row above and the current one
        self.row = self.column = -1
        self.from_above: Tensor | None = None
        self.down: tuple[Maps, Maps] = ([], [])

    def start_row(self) -> None:
        """Everything that depends on the finished rows alone."""
        self.row += 1
        above = self.inputs
        self.inputs = F.pad(above[:, :, 1:], (0, 0, 0, 1))
        padded, first = F.pad(above, (1, 1)), float(self.row > 0)
        self.from_above = first * self.streams.row_above(padded[:, :, 1:])
        self.down = self.streams.streamed_down(first * self.streams.above(padded), self.context, self._on_row)

    def step(self, column: int, left: Tensor) -> Tensor:
        """Features (N, channels) of this pixel; `left` (N, in_channels) is the pixel before it, unused in the first column."""
        self.column = column
        h = self.from_above[..., column : column + 1]
        if column:
            self.inputs[:, :, 1, column - 1] = left
            h = h + self.streams.left(self.inputs[..., column - 1 : column])
        down = self._here(self.down[0]), self._here(self.down[1])
        return self.streams.streamed_right(h, down, self.context, self._on_pixel)[:, :, 0, 0]

    def end_row(self, last: Tensor) -> None:
        """`last` (N, in_channels): the last pixel of the row."""
        self.inputs[:, :, 1, -1] = last

    def select(self, index: Tensor) -> None:
        """Image n goes on from the past of image index[n], (num_images,)."""
        kept = [*self.rows.values(), *self.pixels.values(), *self.ups.values(), self.inputs, self.from_above]
        # A row that a layer was given is also what the next one found: one tensor may be there twice.
        kept += [each for part in self.down for maps in part for each in maps]
        move(index, *{tensor.data_ptr(): tensor for tensor in kept}.values())

    def _here(self, maps: Maps) -> Maps:
        """Rows (N, C, 1, W) of every level at the current column."""
        columns = [self.column >> level for level in range(len(maps))]
        return [[row[..., at : at + 1] for row in rows] for at, rows in zip(columns, maps, strict=True)]

    def _on_row(self, layer: nn.Module, x: Tensor | None) -> Tensor | None:
        """A convolution for this row: x (N, C, 1, W)."""
        row = self.row >> layer.level
        if isinstance(layer, CausalUp2d):
            if x is not None:
                self.ups[layer] = nn.ConvTranspose2d.forward(layer, x)[..., layer.side : layer.side + layer.size[1]]
            return self.ups[layer][:, :, row % 2 : row % 2 + 1]
        before = self.rows.get(layer)
        self.rows[layer] = x.clone()
        if layer.stride[0] == 2 and row % 2:
            return None
        return layer.of_rows(torch.cat([torch.zeros_like(x) if before is None else before, x], 2))

    def _on_pixel(self, layer: nn.Module, x: Tensor | None) -> Tensor | None:
        """A convolution for this pixel: x (N, C, 1, 1)."""
        row, column = self.row >> layer.level, self.column >> layer.level
        if isinstance(layer, CausalUp2d):
            return self._spread(layer, x, row, column)
        if layer not in self.pixels:
            self.pixels[layer] = self.zeros(*x.shape[:2], 2, -(-self.width // 2**layer.level) + 1)
        kept = self.pixels[layer]
        if self.pixel_rows.get(layer, row) != row:
            kept[:, :, 0] = kept[:, :, 1]
        self.pixel_rows[layer] = row
        kept[:, :, 1, column + 1] = x[:, :, 0, 0]
        if layer.stride[0] == 2 and (row % 2 or column % 2):
            return None
        return layer.of_window(kept[..., column : column + 2])

    def _spread(self, layer: CausalUp2d, x: Tensor | None, row: int, column: int) -> Tensor:
        if x is not None:
            found = nn.ConvTranspose2d.forward(layer, x)  # (N, C, 2, 2)
            if layer not in self.ups:
                self.ups[layer] = self.zeros(*found.shape[:3], layer.size[1] + 1)
            self.ups[layer][..., column : column + 2] = found
        return self.ups[layer][:, :, row % 2 : row % 2 + 1, column : column + 1]
