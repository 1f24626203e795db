"""Plain strided convolutions between images and flat features: the networks of disentanglement papers.

Burgess et al. 2018 (arXiv 1804.03599, app. A) and Locatello et al. 2019 (arXiv 1811.12359, table 1) have images of 64x64 and
four layers of stride two: 32, 32, 64 and 64 channels, kernels 4, 4, 2 and 2 in the code of the latter, then a dense layer.
The way back has two dense layers and transposed convolutions with kernels of 4. No normalisation, no residual blocks.

Differs from the papers: images of any size from 8x8, with fewer layers where the image is smaller.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genarena.nets.conditioning import pooled
from genarena.nets.pyramid import pyramid

WIDTHS = (32, 32, 64, 64)  # the finest first
KERNELS = (4, 4, 2, 2)


class StridedEncoder(nn.Module):
    """Image (N, C, H, W), and a context (N, F) where there is one, to features (N, out_features).

    hidden: width of the dense layer, which reads the context too. spectral: every layer has spectral norm one. slope: of the
    leaky ReLUs for negative inputs; 0 is the ReLU of the papers. `trunk` gives the last hidden layer.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        out_features: int,
        hidden: int,
        context_features: int = 0,
        spectral: bool = False,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        limited = spectral_norm if spectral else _plain
        sizes = strided_sizes(shape)
        widths = [shape[0], *WIDTHS[: len(sizes) - 1]]
        self.slope = slope
        self.convolutions = nn.ModuleList(
            limited(nn.Conv2d(before, after, kernel, 2, (kernel - 1) // 2))
            for kernel, (before, after) in zip(KERNELS, pairwise(widths), strict=False)
        )
        flat = widths[-1] * sizes[-1][0] * sizes[-1][1]
        self.dense = limited(nn.Linear(flat + context_features, hidden))
        self.last = limited(nn.Linear(hidden, out_features))

    def trunk(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The last hidden layer (N, hidden)."""
        for convolution in self.convolutions:
            odd = (0, x.shape[3] % 2, 0, x.shape[2] % 2)  # sizes are rounded up
            x = F.leaky_relu(convolution(F.pad(x, odd)), self.slope)
        return F.leaky_relu(self.dense(_joined(x.flatten(1), context)), self.slope)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.last(self.trunk(x, context))


class StridedDecoder(nn.Module):
    """Features (N, in_features), of which the last may be a context, to an image (N, out_channels, H, W), unbounded.

    size: (H, W). hidden: width of the first dense layer. normalised: batch normalisation before each ReLU, for a generator.
    """

    def __init__(
        self, in_features: int, out_channels: int, size: tuple[int, int], hidden: int, normalised: bool = False
    ) -> None:
        super().__init__()
        self.sizes = strided_sizes((out_channels, *size))[::-1]  # the coarsest first
        widths = [*WIDTHS[: len(self.sizes) - 1][::-1], out_channels]
        self.start = (widths[0], *self.sizes[0])
        flat = widths[0] * self.sizes[0][0] * self.sizes[0][1]
        norms = [nn.BatchNorm1d(width) if normalised else nn.Identity() for width in (hidden, flat)]
        self.dense = nn.Sequential(
            nn.Linear(in_features, hidden), norms[0], nn.ReLU(), nn.Linear(hidden, flat), norms[1], nn.ReLU()
        )
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if normalised else nn.Identity() for width in widths[1:-1])

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.dense(_joined(z, context)).unflatten(1, self.start)
        for level, (convolution, (height, width)) in enumerate(zip(self.convolutions, self.sizes[1:], strict=True)):
            h = convolution(F.relu(self.norms[level - 1](h)) if level else h)[..., :height, :width]
        return h


def strided_sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Sizes from the image (C, H, W) down, halved (rounded up) at most four times: 64x64 ends at 4x4, 28x28 at 7x7."""
    return pyramid(*shape[1:])[: len(WIDTHS) + 1]


def _joined(x: Tensor, context: Tensor | None) -> Tensor:
    return x if context is None else torch.cat([x, pooled(context)], 1)


def _plain(layer: nn.Module) -> nn.Module:
    return layer
