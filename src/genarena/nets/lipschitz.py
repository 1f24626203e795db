"""Networks whose Lipschitz constant is below one.

The weight of a layer is divided by max(1, sigma / limit), sigma the largest singular value of the layer as a linear map, by
power iteration until it no longer changes (Gouk et al. 2018, arXiv 1804.04368; Behrmann et al. 2019, arXiv 1811.00995, sec.
2.1): for a convolution that of the whole map of images with zeros at their border, not of its kernel. LipSwish keeps the
constant (Chen et al. 2019, arXiv 1906.02735, sec. 3.3).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genarena.nets.conditioning import linear

TOLERANCE, ROUNDS = 1e-5, 500  # relative change of sigma at which the iteration ends, and its longest


class LipSwish(nn.Module):
    """x sigmoid(b x) / 1.1 with a learned b > 0; its slope is between -0.1 and 1 for every b."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(F.softplus(self.raw) * x) / 1.1


class SpectralLimit(nn.Module):
    """weight / max(1, sigma / limit), of a matrix (out, in), or of a kernel (out, in, k, k) on images of `size` (H, W).

    The iteration starts at the vector of the last training step, which is a buffer; in eval mode it is left as it is, and what
    was found is kept until the weight changes.
    """

    def __init__(self, weight: Tensor, limit: float, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.limit = limit
        shape = (1, weight.shape[1], *(size or ()))
        start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.register_buffer("start", start / start.norm())
        self.found: tuple[tuple, Tensor] | None = None  # a key of the weight, and its vector

    def forward(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            v = self.vector(weight)
            mapped = self.map(v, weight)
            u = mapped / mapped.norm().clamp_min(1e-12)
        sigma = (u * self.map(v.clone(), weight)).sum()
        return weight / (sigma / self.limit).clamp_min(1.0)

    def vector(self, weight: Tensor) -> Tensor:
        """The right singular vector of the largest singular value, of norm 1."""
        if self.training:
            return self.start.copy_(self.iterated(weight))
        key = (float(weight.sum()), float(weight.norm()), weight.device)
        if self.found is None or self.found[0] != key:
            self.found = key, self.iterated(weight)
        return self.found[1]

    def map(self, v: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(v, weight, padding=weight.shape[-1] // 2) if weight.dim() == 4 else F.linear(v, weight)

    def adjoint(self, u: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose2d(u, weight, padding=weight.shape[-1] // 2) if weight.dim() == 4 else u @ weight

    def iterated(self, weight: Tensor) -> Tensor:
        """`vector`, found anew from the start, which it is where the weight is zero."""
        v, before = self.start, math.inf
        for _ in range(ROUNDS):
            u = self.map(v, weight)
            back = self.adjoint(u, weight)
            sigma, length = float(u.norm()), float(back.norm())
            if length == 0.0 or not math.isfinite(length):
                return self.start
            v = back / length
            if abs(sigma - before) <= TOLERANCE * sigma:
                return v
            before = sigma
        return v


def limited(layer: nn.Module, limit: float, size: tuple[int, int] | None = None) -> nn.Module:
    """The linear layer or convolution (odd kernel, stride 1, zeros at the border) with a constant of at most `limit`."""
    parametrize.register_parametrization(layer, "weight", SpectralLimit(layer.weight, limit, size), unsafe=True)
    return layer


class LipschitzNetwork(nn.Module):
    """Limited layers with LipSwish between them: |g(x) - g(x')| <= limit |x - x'|. The context is added after the first."""

    def __init__(self, layers: Sequence[nn.Module], features: int, context_features: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activations = nn.ModuleList(LipSwish() for _ in layers[1:])
        self.context = linear(context_features, features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = self.layers[0](x)
        if self.context is not None:
            shift = self.context(context)
            x = x + shift.view(*shift.shape, *[1] * (x.dim() - 2))
        for activation, layer in zip(self.activations, self.layers[1:], strict=True):
            x = layer(activation(x))
        return x


def lipschitz_mlp(num_dims: int, hidden: Sequence[int], limit: float, context_features: int = 0) -> LipschitzNetwork:
    """(N, D) to (N, D). limit: of the whole network, shared out evenly over its layers."""
    sizes = list(pairwise((num_dims, *hidden, num_dims)))
    layers = [limited(nn.Linear(*each), limit ** (1.0 / len(sizes))) for each in sizes]
    return LipschitzNetwork(layers, hidden[0], context_features)


def lipschitz_convolutions(
    shape: tuple[int, int, int], hidden_channels: int, limit: float, context_features: int = 0
) -> LipschitzNetwork:
    """(N, C, H, W) to the same: 3x3, 1x1 and 3x3 convolutions (Chen et al. 2019, app. E)."""
    widths = ((shape[0], hidden_channels, 3), (hidden_channels, hidden_channels, 1), (hidden_channels, shape[0], 3))
    layers = []
    for into, out, kernel in widths:
        size = (1, 1) if kernel == 1 else shape[1:]
        layers.append(limited(nn.Conv2d(into, out, kernel, padding=kernel // 2), limit ** (1.0 / 3.0), size))
    return LipschitzNetwork(layers, hidden_channels, context_features)
