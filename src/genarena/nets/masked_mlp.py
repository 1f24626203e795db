"""Masked multilayer perceptron: the outputs of a dimension depend on the dimensions before it only.

Germain et al. 2015 (MADE, arXiv 1502.03509), eq. 8-9. The dimensions keep their natural order 1 .. D. The degrees of hidden
units are spread evenly over 1 .. D - 1 and sorted, so that the units that a dimension may see are the first ones of a layer.
A linear map of a context is added to every layer.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import linear


class MaskedMLP(nn.Module):
    """(N, D), and a context (N, F) where there is one, to (N, num_outputs, D): column d of the result is a function of
    x_1 .. x_(d-1). ReLU; starts at zero.

    A hidden unit of degree m sees x_1 .. x_m. The masks are buffers, made once.
    Raises ValueError below two dimensions, without hidden layers, and for an empty layer.
    """

    def __init__(self, num_dims: int, hidden: Sequence[int], num_outputs: int, context_features: int = 0) -> None:
        super().__init__()
        if num_dims < 2 or not hidden or min(hidden) < 1:
            raise ValueError(
                f"num_dims={num_dims}, hidden={list(hidden)}: expected at least 2 dimensions, and layers of at least 1 unit"
            )
        self.num_dims, self.num_outputs = num_dims, num_outputs
        inputs, outputs = torch.arange(1, num_dims + 1), torch.arange(num_dims).repeat(num_outputs)
        degrees = [inputs, *[1 + torch.arange(width) * (num_dims - 1) // width for width in hidden], outputs]
        counts = [torch.bincount(own, minlength=num_dims)[1:].tolist() for own in degrees[1:-1]]
        self.sizes = [[1] * num_dims, *counts]  # how many values, and units of each layer, follow from one more value
        self.layers = nn.ModuleList(nn.Linear(len(below), len(own)) for below, own in pairwise(degrees))
        for index, (below, own) in enumerate(pairwise(degrees)):
            self.register_buffer(f"mask_{index}", (own[:, None] >= below).float(), persistent=False)
        widths = [layer.out_features for layer in self.layers] if context_features else []
        self.contexts = nn.ModuleList(linear(context_features, width) for width in widths)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        for index, (layer, bias) in enumerate(zip(self.layers, self._biases(context), strict=True)):
            weight = layer.weight * getattr(self, f"mask_{index}")
            x = torch.addmm(bias, F.relu(x, inplace=True) if index else x, weight.T)
        return x.unflatten(1, (self.num_outputs, self.num_dims))

    def _biases(self, context: Tensor | None) -> list[Tensor]:
        """Of each layer, (width,), or (N, width) with a context."""
        if not self.contexts:
            return [layer.bias for layer in self.layers]
        return [own.added_to(layer.bias, context) for layer, own in zip(self.layers, self.contexts, strict=True)]

    def unroll(self, value_of: Callable[[Tensor, int], Tensor], num_rows: int, context: Tensor | None = None) -> Tensor:
        """x (num_rows, D), where x_d = value_of(outputs, d) (1, num_rows) with the outputs (1, num_outputs, num_rows) that
        `forward(x)` has for dimension d, d from 0. Differentiable.

        Each unit is computed once, as soon as the dimensions that it sees are known: the cost is that of one `forward`, not
        of D. The known units are the first ones of a layer, so slices of the weights take the place of masks. A unit is a row,
        so that known ones lie next to each other. Raises ValueError for values of another type than the weights or the outputs.
        """
        *shifts, of_last = (bias.T if bias.dim() == 2 else bias[:, None] for bias in self._biases(context))
        *hidden, last = (layer.weight for layer in self.layers)
        ends = (part.unflatten(0, (self.num_outputs, self.num_dims)).unbind(1) for part in (of_last, last))
        starts = [last.new_zeros(self.num_dims, num_rows), *(shift.expand(-1, num_rows) for shift in shifts)]
        rows = [_Rows(start, sizes) for start, sizes in zip(starts, self.sizes, strict=True)]
        pieces = [weight.split(sizes) for weight, sizes in zip(hidden, self.sizes[1:], strict=True)]
        for d, (bias, weight) in enumerate(zip(*ends, strict=True)):
            outputs = torch.addmm(bias, weight[:, : rows[-1].num], rows[-1].known)[None]
            rows[0].append(_same_type(value_of(outputs, d), outputs, last))
            for (below, own), weights in zip(pairwise(rows), pieces, strict=True):
                if d < self.num_dims - 1:
                    own.append_units(weights[d], below)
        return rows[0].known.T.contiguous()


def _same_type(values: Tensor, outputs: Tensor, weights: Tensor) -> Tensor:
    """Outputs differ from weights under autocast, where `forward` takes both types too."""
    if values.dtype not in (outputs.dtype, weights.dtype):
        raise ValueError(f"values are {values.dtype}, and the network is {weights.dtype}: expected the same type")
    return values


class _Rows:
    """Rows (M, N) that become known, `sizes` of them at a time; of units, `start` are their biases. They are written in its
    place, unless a gradient is asked for: autograd needs them as they were."""

    def __init__(self, start: Tensor, sizes: list[int]) -> None:
        self.memory = start if torch.is_grad_enabled() else start.clone(memory_format=torch.contiguous_format)
        self.known, self.num = self.memory[:0], 0  # `num` rows
        self.parts = iter(zip(sizes, self.memory.split(sizes), strict=True))

    def append(self, values: Tensor) -> None:
        size, rows = next(self.parts)
        self._take(size, values if torch.is_grad_enabled() else rows.copy_(values))

    def append_units(self, weight: Tensor, below: "_Rows") -> None:
        """max(0, bias + weight below); further columns of the weights are of rows that are not known yet."""
        size, rows = next(self.parts)
        inputs = weight[:, : below.num], below.known
        self._take(size, torch.addmm(rows, *inputs).relu() if torch.is_grad_enabled() else rows.addmm_(*inputs).relu_())

    def _take(self, size: int, rows: Tensor) -> None:
        self.num += size
        self.known = torch.cat([self.known, rows]) if torch.is_grad_enabled() else self.memory[: self.num]
