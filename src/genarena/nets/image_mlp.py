"""Perceptrons between images and flat features, of tanh units (Kingma & Welling 2014, arXiv 1312.6114, app. C) or of gated ones
(Tomczak & Welling 2018, arXiv 1705.07120, sec. 4: (W h + b) sigmoid(V h + c))."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import pooled


class ImageMLPEncoder(nn.Module):
    """Image (N, C, H, W), and a context (N, F) where there is one, to features (N, out_features)."""

    def __init__(
        self,
        shape: tuple[int, ...],
        out_features: int,
        hidden: Sequence[int],
        context_features: int = 0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.layers = perceptron([shape[0] * shape[1] * shape[2] + context_features, *hidden, out_features], gated)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        flat = x.flatten(1)
        return self.layers(flat if context is None else torch.cat([flat, pooled(context)], 1))


class ImageMLPDecoder(nn.Module):
    """Features (N, in_features), and a context (N, F) where there is one, to (N, C, H, W), unbounded.

    in_features: with those of the context.
    """

    def __init__(self, in_features: int, shape: tuple[int, ...], hidden: Sequence[int], gated: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.layers = perceptron([in_features, *hidden, shape[0] * shape[1] * shape[2]], gated)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.layers(z if context is None else torch.cat([z, pooled(context)], 1)).unflatten(1, self.shape)


def perceptron(sizes: Sequence[int], gated: bool = False) -> nn.Sequential:
    """Linear layers of these sizes with tanh between them, or with gates: a layer has twice the outputs, and the second half
    gates the first. Weights start as in Glorot & Bengio 2010, biases at zero."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(sizes), 2):
        inner = number < len(sizes)
        layer = nn.Linear(before, 2 * after if gated and inner else after)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        layers += [layer, *([nn.GLU(1) if gated else nn.Tanh()] if inner else [])]
    return nn.Sequential(*layers)
