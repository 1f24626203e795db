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
        self.degrees = degrees[1:-1]
        self.layers = nn.ModuleList(nn.Linear(len(below), len(own)) for below, own in pairwise(degrees))
        for index, (below, own) in enumerate(pairwise(degrees)):
            self.register_buffer(f"mask_{index}", (own[:, None] >= below).float(), persistent=False)
        widths = [layer.out_features for layer in self.layers] if context_features else []
        self.contexts = nn.ModuleList(linear(context_features, width) for width in widths)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        for index, (layer, bias) in enumerate(zip(self.layers, self._biases(context), strict=True)):
            x = F.linear(F.relu(x) if index else x, layer.weight * getattr(self, f"mask_{index}")) + bias
        return x.unflatten(1, (self.num_outputs, self.num_dims))

    def _biases(self, context: Tensor | None) -> list[Tensor]:
        """Of each layer, (width,), or (N, width) with a context."""
        if not self.contexts:
            return [layer.bias for layer in self.layers]
        return [layer.bias + own(context) for layer, own in zip(self.layers, self.contexts, strict=True)]

    def unroll(self, value_of: Callable[[Tensor, int], Tensor], num_rows: int, context: Tensor | None = None) -> Tensor:
        """x (num_rows, D), where x_d = value_of(outputs, d) (num_rows,) with the outputs (num_rows, num_outputs) that
        `forward(x)` has for dimension d, d from 0. Differentiable.

        Each unit is computed once, as soon as the dimensions that it sees are known: the cost is that of one `forward`, not
        of D. The known units are the first ones of a layer, so slices of the weights take the place of masks.
        """
        *hidden, last = self.layers
        *shifts, of_last = self._biases(context)
        ready = [torch.bincount(own, minlength=self.num_dims).cumsum(0).tolist() for own in self.degrees]
        known = [last.weight.new_zeros(num_rows, 0) for _ in range(1 + len(hidden))]  # inputs, then every hidden layer
        for d in range(self.num_dims):
            seen = known[-1]
            outputs = (
                F.linear(seen, last.weight[d :: self.num_dims, : seen.shape[1]]) + of_last[..., d :: self.num_dims]
            )
            known[0] = torch.cat([known[0], value_of(outputs, d)[:, None]], 1)
            for level, layer in enumerate(hidden if d < self.num_dims - 1 else []):
                new, below = slice(known[level + 1].shape[1], ready[level][d + 1]), known[level]
                if new.stop > new.start:
                    units = F.relu(F.linear(below, layer.weight[new, : below.shape[1]]) + shifts[level][..., new])
                    known[level + 1] = torch.cat([known[level + 1], units], 1)
        return known[0]
