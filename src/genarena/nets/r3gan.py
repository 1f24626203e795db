"""The networks of R3GAN (Huang et al. 2024, arXiv 2501.05441, sec. 4, config E), for images of any size from 8x8.

Both are stages of residual blocks without normalisation, one stage per size of the pyramid. Branches start as in Fix-up (Zhang
et al. 2019, arXiv 1901.09321): L blocks of three convolutions, the first two scaled by L^(-1/4), the last one zero.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import pooled
from genarena.nets.patches import fold, patch_of, unfold
from genarena.nets.pyramid import pyramid

SLOPE = 0.2  # of leaky ReLUs for negative inputs
GAIN = (2.0 / (1.0 + SLOPE**2)) ** 0.5  # keeps the variance through one
EXPANSION = 2  # width inside a block, as a multiple of the width between blocks


class R3GANBlock(nn.Module):
    """x + W_3 a(W_2 a(W_1 x)): 1x1 to twice the width, 3x3 in groups, 1x1 back; a is a bias and a leaky ReLU.

    group_width: channels of a group. blocks: L, of the whole network.
    """

    def __init__(self, channels: int, group_width: int, blocks: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        if inner % group_width:
            raise ValueError(f"group_width={group_width}: must divide {inner}, twice a width of the network")
        gain = GAIN * blocks**-0.25
        self.expand = scaled(nn.Conv2d(channels, inner, 1), gain)
        self.mix = scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_width), gain)
        self.project = scaled(nn.Conv2d(inner, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.mix(F.leaky_relu(self.expand(x), SLOPE)), SLOPE)
        return x + self.project(h)


class R3GANGenerator(nn.Module):
    """Latent vectors (N, latent_dim), and a context (N, F) where there is one, to images (N, C, H, W) in [-1, 1].

    A learned basis at the coarsest size is scaled, channel by channel, by a linear map of (z, context).
    channels: width at the finest size; each halving multiplies it by `growth`. num_blocks: of a stage. patch: side of the
    squares of pixels that are folded into channels, as in `nets/unet.py`; None: 2 for 16 pixels and more, else 1.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        channels: int,
        growth: int = 2,
        num_blocks: int = 1,
        group_width: int = 16,
        patch: int | None = None,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.patch, sizes = folded(shape, patch)
        self.sizes, self.chosen = sizes[::-1], {"patch": self.patch}  # coarsest first
        widths = [channels * growth**level for level in reversed(range(len(self.sizes)))]
        self.basis = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.scales = scaled(nn.Linear(latent_dim + context_features, widths[0], bias=False), 1.0)
        self.stages = nn.ModuleList(stage(width, num_blocks, group_width, len(widths)) for width in widths)
        self.narrow = nn.ModuleList(changed(before, after) for before, after in pairwise(widths))
        self.to_image = scaled(nn.Conv2d(channels, shape[0] * self.patch**2, 1, bias=False), 1.0)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        scales = self.scales(z if context is None else torch.cat([z, pooled(context)], 1))
        h = self.stages[0](self.basis * scales[:, :, None, None])
        for narrow, blocks, size in zip(self.narrow, self.stages[1:], self.sizes[1:], strict=True):
            h = blocks(F.interpolate(narrow(h), size=size, mode="bilinear"))
        return torch.tanh(unfold(self.to_image(h), self.patch, self.size))


class R3GANDiscriminator(nn.Module):
    """Images (N, C, H, W) to scores (N,). The coarsest map is weighted by a basis, channel by channel, and summed: h.

    With a context c (N, F) the projection (V c)^T h is added (Miyato & Koyama 2018, arXiv 1802.05637). The last layer has no
    bias, which a relativistic loss does not see. Options as in the generator.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        growth: int = 2,
        num_blocks: int = 1,
        group_width: int = 16,
        patch: int | None = None,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        _, self.patch, sizes = folded(shape, patch)
        widths = [channels * growth**level for level in range(len(sizes))]
        self.from_image = scaled(nn.Conv2d(shape[0] * self.patch**2, channels, 1, bias=False), 1.0)
        self.stages = nn.ModuleList(stage(width, num_blocks, group_width, len(widths)) for width in widths)
        self.widen = nn.ModuleList(changed(before, after) for before, after in pairwise(widths))
        self.basis = scaled(nn.Conv2d(widths[-1], widths[-1], sizes[-1], groups=widths[-1], bias=False), 1.0)
        self.score = scaled(nn.Linear(widths[-1], 1, bias=False), 1.0)
        projection = nn.Linear(context_features, widths[-1], bias=False) if context_features else None
        self.projection = scaled(projection, widths[-1] ** -0.5) if projection else None
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.stages[0](self.from_image(fold(x, self.patch)))
        for widen, blocks in zip(self.widen, self.stages[1:], strict=True):
            h = blocks(widen(F.avg_pool2d(h, 2, ceil_mode=True)))
        h = self.basis(h).flatten(1)
        score = self.score(h).squeeze(1)
        return score if self.projection is None else score + (self.projection(pooled(context)) * h).sum(1)

    @property
    def last(self) -> nn.Module:
        return self.score


def folded(shape: tuple[int, ...], patch: int | None) -> tuple[tuple[int, ...], int, list[tuple[int, int]]]:
    """(H, W) of images (C, H, W), the side of their squares, and the sizes of the pyramid of squares, finest first."""
    size = shape[1:]
    patch = patch_of(patch, size)
    return size, patch, pyramid(*(-(-side // patch) for side in size))


def stage(channels: int, num_blocks: int, group_width: int, num_stages: int) -> nn.Sequential:
    """The blocks of one size."""
    return nn.Sequential(*(R3GANBlock(channels, group_width, num_blocks * num_stages) for _ in range(num_blocks)))


def changed(before: int, after: int) -> nn.Module:
    """A 1x1 convolution to another width; nothing if it is the same."""
    return nn.Identity() if before == after else scaled(nn.Conv2d(before, after, 1, bias=False), 1.0)


def scaled(layer: nn.Module, gain: float) -> nn.Module:
    """Weights N(0, gain^2 / inputs), biases 0 (He et al. 2015, arXiv 1502.01852)."""
    nn.init.normal_(layer.weight, 0.0, gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
