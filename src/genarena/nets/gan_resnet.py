"""Residual generator and spectrally normalised residual discriminator (Miyato et al. 2018, arXiv 1802.05957, app. B.4).

Without spectral norm it is the critic of Gulrajani et al. 2017 (arXiv 1704.00028, app. F). The number of
blocks follows the image size: one per halving, and in the discriminator one more at the coarsest size, where `halvings` does
not say otherwise.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genarena.nets.conditioning import linear, pooled
from genarena.nets.pyramid import pyramid
from genarena.nets.sizes import fitting


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gain and shift are linear in a context (N, F): for labels, one of each per class and channel
    (Dumoulin et al. 2017, arXiv 1610.07629, eq. 5)."""

    def __init__(self, channels: int, context_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.context = linear(context_features, 2 * channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        gain, shift = self.context(context)[:, :, None, None].chunk(2, 1)
        return self.norm(x) * (1.0 + gain) + shift


class GeneratorBlock(nn.Module):
    """BN - ReLU - upsample - conv - BN - ReLU - conv, plus a 1x1 shortcut.

    The shortcut is convolved before it is upsampled: the result is the same, at a quarter of the cost.
    """

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int], context_features: int = 0) -> None:
        super().__init__()
        self.size = size
        self.norm1, self.norm2 = (batch_norm(width, context_features) for width in (in_channels, out_channels))
        self.conv1 = convolution(in_channels, out_channels, 3, bias=False)
        self.conv2 = convolution(out_channels, out_channels, 3)
        self.shortcut = convolution(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.norm1(x, *context)), size=self.size)
        h = self.conv2(F.relu(self.norm2(self.conv1(h), *context)))
        return h + F.interpolate(self.shortcut(x), size=self.size)


class DiscriminatorBlock(nn.Module):
    """[ReLU] - conv - ReLU - conv - [down], plus a shortcut.

    first: leave out the first ReLU, because the input is an image. down: average-pool by two (sizes are rounded up).
    spectral: every convolution has spectral norm one; False: plain convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, down: bool, first: bool = False, spectral: bool = True
    ) -> None:
        super().__init__()
        self.down, self.first = down, first
        limited = spectral_norm if spectral else plain
        self.conv1 = limited(convolution(in_channels, out_channels, 3))
        self.conv2 = limited(convolution(out_channels, out_channels, 3))
        same = in_channels == out_channels and not down
        self.shortcut = nn.Identity() if same else limited(convolution(in_channels, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        return self._pool(h) + self.shortcut(self._pool(x))

    def _pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2, ceil_mode=True) if self.down else x


class ResNetGenerator(nn.Module):
    """Latent vectors (N, latent_dim), and a context (N, F) where there is one, to images (N, C, H, W) in [-1, 1].

    channels: width at full size; each halving multiplies it by `growth`.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], channels: int, growth: int = 2, context_features: int = 0
    ) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])[::-1]  # coarsest first
        widths = [channels * growth**level for level in reversed(range(len(sizes)))]
        self.start = (widths[0], *sizes[0])
        self.project = glorot(nn.Linear(latent_dim, widths[0] * sizes[0][0] * sizes[0][1]))
        self.blocks = nn.Sequential(
            *(
                GeneratorBlock(before, after, size, context_features)
                for before, after, size in zip(widths, widths[1:], sizes[1:], strict=False)
            )
        )
        self.norm = batch_norm(channels, context_features)
        self.to_image = convolution(channels, shape[0], 3)
        self.to(memory_format=torch.channels_last)  # up to 1.4x faster convolutions on a CPU

    def forward(self, z: Tensor, *context: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, self.start)
        for block in self.blocks:
            h = block(h, *context)
        return torch.tanh(self.to_image(F.relu(self.norm(h, *context))))


class ResNetDiscriminator(nn.Module):
    """Images (N, C, H, W) to unbounded scores (N,): residual blocks, ReLU, sum over pixels h, linear.

    With a context c (N, F) the projection (V c)^T h is added (Miyato & Koyama 2018, fig. 1d).
    channels: width of the first block; each further halving multiplies it by `growth`.
    halvings: how many of the blocks halve the image, those at the start; None: all but the last.
    spectral: every layer, V too, has spectral norm one. False: plain layers, and the mean over pixels (the critic of WGAN-GP).
    The last layer has no bias: so the authors' code, and the loss of WGAN-GP is the same for D and D + constant.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        growth: int = 2,
        context_features: int = 0,
        spectral: bool = True,
        halvings: int | None = None,
    ) -> None:
        super().__init__()
        self.spectral = spectral
        limited = spectral_norm if spectral else plain
        depth = len(pyramid(*shape[1:])) - 1
        halvings = fitting("halvings", halvings, depth, range(1, depth + 1), f"images of {shape[1]}x{shape[2]}")
        self.chosen = {"halvings": halvings}
        widths = [shape[0]] + [channels * growth ** min(level, halvings - 1) for level in range(depth + 1)]
        self.blocks = nn.Sequential(
            *(
                DiscriminatorBlock(before, after, down=level < halvings, first=level == 0, spectral=spectral)
                for level, (before, after) in enumerate(pairwise(widths))
            )
        )
        self.score = limited(glorot(nn.Linear(widths[-1], 1, bias=False)))
        projection = nn.Linear(context_features, widths[-1], bias=False) if context_features else None
        self.projection = limited(glorot(projection)) if projection else None
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = F.relu(self.blocks(x))
        h = h.sum((2, 3)) if self.spectral else h.mean((2, 3))
        score = self.score(h).squeeze(1)
        return score if self.projection is None else score + (self.projection(pooled(context)) * h).sum(1)

    @property
    def last(self) -> nn.Module:
        return self.score


def plain(layer: nn.Module) -> nn.Module:
    """The layer as it is."""
    return layer


def batch_norm(channels: int, context_features: int) -> nn.Module:
    return ConditionalNorm(channels, context_features) if context_features else nn.BatchNorm2d(channels)


def convolution(in_channels: int, out_channels: int, kernel: int, bias: bool = True) -> nn.Module:
    """Convolution that keeps the size. Gain sqrt(2) for 3x3 kernels, which follow a ReLU; 1 for the 1x1 shortcuts."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
    return glorot(layer, gain=1.0 if kernel == 1 else 2.0**0.5)


def glorot(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """Glorot-uniform weight, zero bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
