"""Scalar networks: data in, one number per example out. SiLU makes them smooth: Langevin chains follow their gradient.

With a context c (N, F) the projection (V c)^T h on the features h before the last layer is added, as in the discriminator of
Miyato & Koyama 2018, arXiv 1802.05637.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genarena.nets.conditioning import pooled


def normalised(layer: nn.Module, enabled: bool) -> nn.Module:
    """`layer`; if `enabled`, its largest singular value is held at one (Miyato et al. 2018, arXiv 1802.05957)."""
    return spectral_norm(layer) if enabled else layer


class ResidualBlock(nn.Module):
    """h + conv(silu(conv(silu(h)))). No batch normalisation: the energy of an example must not depend on its batch."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(),
            normalised(nn.Conv2d(channels, channels, 3, padding=1), spectral),
            nn.SiLU(),
            normalised(nn.Conv2d(channels, channels, 3, padding=1), spectral),
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.layers(h)


class ConvEnergy(nn.Module):
    """Residual strided network, (N, C, H, W) to (N,).

    The stem halves images whose smaller side is above 16 pixels. Each stage then doubles the channels (up to
    `max_channels`) and halves the image, until its smaller side is at most 4 pixels. A linear layer reads the last feature
    map without pooling, so that the energy depends on positions. The energy grows at most linearly in the input; therefore
    exp(-energy) times a Gaussian can be normalised.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        hidden_channels: int = 16,
        max_channels: int = 256,
        num_blocks: int = 1,
        spectral: bool = False,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        wide = hidden_channels
        halve = min(height, width) > 16
        stem = nn.Conv2d(channels, wide, 4, 2, 1) if halve else nn.Conv2d(channels, wide, 3, padding=1)
        layers = [normalised(stem, spectral)]
        if halve:
            height, width = height // 2, width // 2
        while min(height, width) > 4:
            wider = min(2 * wide, max_channels)
            layers += [nn.SiLU(), normalised(nn.Conv2d(wide, wider, 3, 2, 1), spectral)]
            layers += [ResidualBlock(wider, spectral) for _ in range(num_blocks)]
            wide, height, width = wider, -(-height // 2), -(-width // 2)
        self.features = nn.Sequential(*layers, nn.SiLU(), nn.Flatten())
        self.head = normalised(nn.Linear(wide * height * width, 1), spectral)
        self.projection = projection(context_features, wide * height * width, spectral)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return scalar_in_float32(self.head, self.features(x), self.projection, context)


class VectorEnergy(nn.Module):
    """Multi-layer perceptron, (N, D) to (N,)."""

    def __init__(
        self,
        num_dims: int,
        hidden_features: int = 128,
        num_layers: int = 3,
        spectral: bool = False,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        sizes = [num_dims] + [hidden_features] * num_layers
        layers = [(normalised(nn.Linear(a, b), spectral), nn.SiLU()) for a, b in pairwise(sizes)]
        self.features = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.head = normalised(nn.Linear(hidden_features, 1), spectral)
        self.projection = projection(context_features, hidden_features, spectral)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return scalar_in_float32(self.head, self.features(x), self.projection, context)


def energy_of(
    shape: tuple[int, ...], hidden_channels: int, num_blocks: int, spectral: bool, context_features: int
) -> nn.Module:
    """The convolutional network for images, the perceptron for vectors, eight times as wide."""
    if len(shape) == 3:
        return ConvEnergy(
            shape, hidden_channels, num_blocks=num_blocks, spectral=spectral, context_features=context_features
        )
    return VectorEnergy(math.prod(shape), 8 * hidden_channels, spectral=spectral, context_features=context_features)


def projection(context_features: int, features: int, spectral: bool) -> nn.Module | None:
    """V; None without a context."""
    return normalised(nn.Linear(context_features, features, bias=False), spectral) if context_features else None


def scalar_in_float32(
    head: Callable[[Tensor], Tensor],
    features: Tensor,
    projection: nn.Module | None = None,
    context: Tensor | None = None,
) -> Tensor:
    """The last layer in float32, (N, features) to (N,): an energy in bfloat16 would be rounded to whole nats."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        value = head(features).squeeze(1)
        return value if projection is None else value + (projection(pooled(context).float()) * features).sum(1)
