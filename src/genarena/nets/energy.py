"""Scalar networks: data in, one number per example out. SiLU makes them smooth: Langevin chains follow their gradient."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


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

    def forward(self, x: Tensor) -> Tensor:
        return scalar_in_float32(self.head, self.features(x))


class VectorEnergy(nn.Module):
    """Multi-layer perceptron, (N, D) to (N,)."""

    def __init__(self, num_dims: int, hidden_features: int = 128, num_layers: int = 3, spectral: bool = False) -> None:
        super().__init__()
        sizes = [num_dims] + [hidden_features] * num_layers
        layers = [(normalised(nn.Linear(a, b), spectral), nn.SiLU()) for a, b in pairwise(sizes)]
        self.features = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.head = normalised(nn.Linear(hidden_features, 1), spectral)

    def forward(self, x: Tensor) -> Tensor:
        return scalar_in_float32(self.head, self.features(x))


def scalar_in_float32(head: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """The last layer in float32, (N, features) to (N,): an energy in bfloat16 would be rounded to whole nats."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float()).squeeze(1)
