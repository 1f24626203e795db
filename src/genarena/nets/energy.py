"""Scalar networks: data in, one number per example out. Smooth (SiLU) so that their input gradient can drive a chain."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def normalised(layer: nn.Module, enabled: bool) -> nn.Module:
    """`layer`, with its largest singular value held at one where `enabled` (Miyato et al. 2018, arXiv 1802.05957)."""
    return spectral_norm(layer) if enabled else layer


class ResidualBlock(nn.Module):
    """h + conv(silu(conv(silu(h)))): no normalisation, for the energy of an example must not depend on its batch."""

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

    Images larger than 16 pixels are halved in the stem; each stage doubles the channels and halves the image, until it
    is at most 4 pixels high. Where things are matters (a linear layer reads the last map without pooling). Everything
    grows at most linearly in the input, which keeps exp(-energy) times a Gaussian normalisable.
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
    """The last sum in full precision: a bfloat16 energy would be rounded to whole nats."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float()).squeeze(1)
