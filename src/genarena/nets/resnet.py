"""Residual convolutional encoder and decoder between images of any size and flat features: no normalisation, no loss.

A `ConvPyramid` fixes all sizes at construction. The finest level of both networks works at 1 / `patch` of the image's
resolution: the encoder's first convolution has stride `patch`; the decoder's last one outputs each patch of pixels as
channels, which are shuffled into place. Layers at full resolution would take most of the time on a CPU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import WithContext, pooled


class ResidualBlock(nn.Module):
    """x + conv3(silu(conv3(silu(x)))), with half as many channels in between; (N, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.branch = nn.Sequential(
            nn.SiLU(), nn.Conv2d(channels, hidden, 3, padding=1), nn.SiLU(), nn.Conv2d(hidden, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Upsample(nn.Module):
    """A convolution to f^2 C channels, shuffled into f x f pixels, cut to `size`; (N, C_in, h, w) to (N, C, *size)."""

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int], kernel: int, factor: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, factor**2 * out_channels, kernel, padding=kernel // 2)
        self.shuffle = nn.PixelShuffle(factor)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.conv(x))[..., : self.size[0], : self.size[1]]


class ConvPyramid:
    """The plan that an encoder and its decoder share: `sizes`, `widths` and `blocks` of each level, finest first.

    The image's sides are divided by `patch`, then halved until both are at most 7, rounding up.
    With patch=2: 28 -> 14, 7; 8 -> 4; 64 -> 32, 16, 8, 4. With patch=4: 28 -> 7; 8 -> 2; 64 -> 16, 8, 4.
    channels: width of the finest level; it doubles per level, up to 4 * channels.
    blocks: residual blocks per level, *coarsest first*; the last entry holds for all finer levels.
    Raises ValueError for channels or patch below 1, no blocks, or a negative number of blocks.
    """

    def __init__(self, height: int, width: int, channels: int, blocks: Sequence[int], patch: int = 2) -> None:
        if channels < 1 or not blocks or min(blocks) < 0:
            raise ValueError(
                f"channels={channels}, blocks={list(blocks)}: expected channels >= 1 and blocks such as [1, 0]"
            )
        if patch < 1:
            raise ValueError(f"patch={patch}: must be at least 1")
        self.image, self.sizes = (height, width), [_divide(height, width, patch)]
        while max(self.sizes[-1]) > 7:
            self.sizes.append(_divide(*self.sizes[-1], 2))
        self.factors = [patch] + [2] * (len(self.sizes) - 1)
        depth = len(self.sizes)
        self.widths = [channels * min(2**level, 4) for level in range(depth)]
        self.blocks = [blocks[min(depth - 1 - level, len(blocks) - 1)] for level in range(depth)]

    @property
    def num_features(self) -> int:
        """Features of the coarsest level, flattened."""
        return self.widths[-1] * self.sizes[-1][0] * self.sizes[-1][1]


class ConvEncoder(nn.Sequential):
    """Image (N, in_channels, H, W), and a context (N, F) where there is one, to features (N, out_features).

    The dense layers read the context beside the features of the image.
    """

    def __init__(
        self, in_channels: int, out_features: int, plan: ConvPyramid, hidden: int, context_features: int = 0
    ) -> None:
        layers: list[nn.Module] = []
        for level, (width, blocks) in enumerate(zip(plan.widths, plan.blocks, strict=True)):
            stride = plan.factors[level]
            kernel = 3 if level else 2 * (stride // 2) + 3  # odd, wider than the stride: 5 at stride 2, 7 at 4
            layers += [nn.Conv2d(in_channels, width, kernel, stride=stride, padding=kernel // 2)]
            layers += [ResidualBlock(width) for _ in range(blocks)] + [nn.SiLU()]
            in_channels = width
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(plan.num_features + context_features, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, out_features),
        )
        self.chosen = {"patch": plan.factors[0]}
        initialise(self)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x)
            if context is not None and isinstance(layer, nn.Flatten):
                x = torch.cat([x, pooled(context)], 1)
        return x


class ConvDecoder(WithContext):
    """Features (N, in_features), of which the last may be a context, to an image (N, out_channels, H, W): the
    mirror image of `ConvEncoder`."""

    def __init__(self, in_features: int, out_channels: int, plan: ConvPyramid, hidden: int) -> None:
        layers: list[nn.Module] = []
        outputs = [(out_channels, plan.image), *zip(plan.widths, plan.sizes, strict=True)]
        for level in reversed(range(len(plan.sizes))):
            layers += [ResidualBlock(plan.widths[level]) for _ in range(plan.blocks[level])]
            layers += [nn.SiLU(), Upsample(plan.widths[level], *outputs[level], 1 if level else 3, plan.factors[level])]
        super().__init__(
            nn.Linear(in_features, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, plan.num_features),
            nn.Unflatten(1, (plan.widths[-1], *plan.sizes[-1])),
            *layers,
        )
        initialise(self)


class SpatialEncoder(nn.Sequential):
    """Image (N, in_channels, H, W) to a map (N, out_channels, h, w), with sides halved `halvings` times, rounding up."""

    def __init__(self, in_channels: int, out_channels: int, channels: int, num_blocks: int, halvings: int) -> None:
        layers: list[nn.Module] = []
        for level in range(halvings):
            layers += [
                nn.Conv2d(in_channels, channels, 3 if level else 5, stride=2, padding=1 if level else 2),
                nn.SiLU(),
            ]
            in_channels = channels
        layers += [
            nn.Conv2d(in_channels, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(num_blocks)),
        ]
        super().__init__(*layers, nn.SiLU(), nn.Conv2d(channels, out_channels, 1))
        initialise(self)


class SpatialDecoder(nn.Sequential):
    """A map (N, in_channels, h, w) to an image (N, out_channels, *size): the mirror image of `SpatialEncoder`."""

    def __init__(
        self, in_channels: int, out_channels: int, channels: int, num_blocks: int, halvings: int, size: tuple[int, int]
    ) -> None:
        sizes = [_divide(*size, 2**level) for level in range(halvings)]
        widths = [out_channels] + [channels] * (halvings - 1)
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1)]
        layers += [ResidualBlock(channels) for _ in range(num_blocks)]
        for level in reversed(range(halvings)):
            layers += [nn.SiLU(), Upsample(channels, widths[level], sizes[level], 3, 2)]
        super().__init__(*layers)
        initialise(self)


def initialise(network: nn.Module, gain: float = 2.0**0.5) -> None:
    """He initialisation (normal, zero bias) of all layers but the last, which keeps PyTorch's smaller weights.

    PyTorch's default shrinks the signal at every layer. A VAE without normalisation then starts close to posterior
    collapse; on MNIST it is ten nats worse after three epochs.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
        nn.init.zeros_(layer.bias)


def _divide(height: int, width: int, by: int) -> tuple[int, int]:
    return -(-height // by), -(-width // by)
