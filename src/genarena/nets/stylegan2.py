"""The networks of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), for images of any size from 8x8, of `equalised` layers."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import pooled
from genarena.nets.equalised import EqualConv2d, EqualLinear, activated
from genarena.nets.minibatch_deviation import MinibatchDeviation
from genarena.nets.pyramid import pyramid

SLOW = 0.01  # learning rate of the mapping, relative to all others
MEAN_DECAY = 0.998  # per batch, of the mean style (the authors' code)


class ModulatedConv2d(nn.Module):
    """Convolution with the weights w'_oik = s_i w_oik / sqrt(sum_ik (s_i w_oik)^2 + 1e-8) of each example (eq. 1 and 3).

    The scales s of the input channels are linear in w, around 1. They are put on the input and the norms on the output, which
    is the same and needs one kernel for all examples. demodulate: whether to divide by the norm.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, style_dim: int, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.style, self.demodulate = EqualLinear(style_dim, in_channels, bias=1.0), demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (N, C, H, W), styles w (N, style_dim)."""
        kernel, scales = self.weight * self.weight[0].numel() ** -0.5, self.style(w)
        h = F.conv2d(x * scales[:, :, None, None], kernel, padding=self.weight.shape[2] // 2)
        if self.demodulate:
            norms = torch.rsqrt(scales.square() @ kernel.square().sum((2, 3)).T + 1e-8)
            h = h * norms[:, :, None, None]
        return h + self.bias[:, None, None]


class Mapping(nn.Sequential):
    """z, scaled to length sqrt(D), and the vector of a context, to styles w (N, style_dim). `mean`: of w, over training."""

    def __init__(self, latent_dim: int, style_dim: int, num_layers: int, context_features: int) -> None:
        widths = [latent_dim + context_features] + [style_dim] * num_layers
        super().__init__(*(EqualLinear(before, after, rate=SLOW) for before, after in pairwise(widths)))
        self.register_buffer("mean", torch.zeros(style_dim))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = normalised(z)
        h = h if context is None else torch.cat([h, pooled(context)], 1)
        for layer in self:
            h = activated(layer(h))
        if self.training:
            self.mean.lerp_(h.detach().mean(0), 1.0 - MEAN_DECAY)
        return h


class StyledLayer(nn.Module):
    """a(conv(x, w) + strength noise), the strength of the noise learned from 0 (fig. 2c). noisy: whether it has one."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, noisy: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(in_channels, out_channels, 3, style_dim)
        self.strength = nn.Parameter(torch.zeros(())) if noisy else None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """x (N, C, H, W), styles w (N, style_dim), noise (N, 1, H, W) ~ N(0, 1), the same in all channels; None: without."""
        h = self.convolution(x, w)
        return activated(h if noise is None else h + self.strength * noise)


class Synthesis(nn.Module):
    """Styles (N, num_styles, style_dim) and noise to images (N, C, H, W), not bounded: the sum of an image per size (fig. 7,
    output skips). Each layer has its styles; an image of a size has those of the next layer.

    channels: width at full size; each halving multiplies it by `growth`. noisy: whether layers have noise.
    """

    def __init__(self, shape: tuple[int, ...], channels: int, growth: int, style_dim: int, noisy: bool) -> None:
        super().__init__()
        self.sizes = pyramid(*shape[1:])[::-1]  # coarsest first
        widths = [channels * growth**level for level in reversed(range(len(self.sizes)))]
        self.start = nn.Parameter(torch.randn(1, widths[0], *self.sizes[0]))
        pairs = [(widths[0], widths[0]), *(pair for a, b in pairwise(widths) for pair in ((a, b), (b, b)))]
        self.layers = nn.ModuleList(StyledLayer(a, b, style_dim, noisy) for a, b in pairs)
        self.to_image = nn.ModuleList(ModulatedConv2d(width, shape[0], 1, style_dim, False) for width in widths)
        self.noise_sizes = [self.sizes[0], *(size for size in self.sizes[1:] for _ in range(2))] if noisy else []
        self.to(memory_format=torch.channels_last)

    @property
    def num_styles(self) -> int:
        return len(self.layers) + 1

    @property
    def num_noise(self) -> int:
        """Numbers of noise per image, over all layers."""
        return sum(height * width for height, width in self.noise_sizes)

    def forward(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        """noise: (N, num_noise), the coarsest layer first; None: without."""
        noises = self.maps(noise)
        h = self.layers[0](self.start.expand(len(styles), -1, -1, -1), styles[:, 0], noises[0])
        image = self.to_image[0](h, styles[:, 1])
        for level, size in enumerate(self.sizes[1:], 1):
            h = resized(h, size)
            for index in (2 * level - 1, 2 * level):
                h = self.layers[index](h, styles[:, index], noises[index])
            image = resized(image, size) + self.to_image[level](h, styles[:, 2 * level + 1])
        return image

    def maps(self, noise: Tensor | None) -> list[Tensor | None]:
        """The noise of each layer (N, 1, H, W), or None."""
        if noise is None or not self.noise_sizes:
            return [None] * len(self.layers)
        parts = noise.split([height * width for height, width in self.noise_sizes], 1)
        return [part.unflatten(1, (1, *size)) for part, size in zip(parts, self.noise_sizes, strict=True)]


class StyleGenerator(nn.Module):
    """Codes (N, latent_dim + num_noise), and a context (N, F) where there is one, to images (N, C, H, W) in [-1, 1].

    A code is a latent vector and the noise of all layers, so that an image is a function of it. A vector alone,
    (N, latent_dim), is drawn without noise.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        channels: int,
        growth: int,
        style_dim: int,
        num_mapping: int,
        context_features: int = 0,
        noisy: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.mapping = Mapping(latent_dim, style_dim, num_mapping, context_features)
        self.synthesis = Synthesis(shape, channels, growth, style_dim, noisy)

    def styles(self, code: Tensor, context: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """(N, num_styles, style_dim): mean + psi (w - mean) in every layer (Karras et al. 2019, arXiv 1812.04948, app. B)."""
        w = self.mapping(code[:, : self.latent_dim], context)
        if truncation != 1.0:
            w = torch.lerp(self.mapping.mean.expand_as(w), w, truncation)
        return w[:, None].expand(-1, self.synthesis.num_styles, -1)

    def noise(self, code: Tensor) -> Tensor | None:
        """The part (N, num_noise) of a code; None if it has none."""
        return code[:, self.latent_dim :] if code.shape[1] > self.latent_dim else None

    def images(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        return torch.tanh(self.synthesis(styles, noise))

    def forward(self, code: Tensor, context: Tensor | None = None) -> Tensor:
        return self.images(self.styles(code, context), self.noise(code))


def mixed(styles: Tensor, others: Tensor, start: Tensor) -> Tensor:
    """Styles (N, L, D), from layer `start` (N,) on those of `others` (Karras et al. 2019, sec. 3.1)."""
    layers = torch.arange(styles.shape[1], device=styles.device)
    return torch.where((layers < start[:, None])[:, :, None], styles, others)


class StyleDiscriminator(nn.Module):
    """Images (N, C, H, W) to logits (N,): blocks that halve the size (fig. 7). With a context c the projection (V c)^T h is
    added (Miyato & Koyama 2018, arXiv 1802.05637).

    group: of `MinibatchDeviation`, before the last convolution; None: without. residual: of `StyleBlock`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        growth: int,
        context_features: int = 0,
        group: int | None = None,
        residual: bool = True,
    ) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])
        widths = [channels * growth**level for level in range(len(sizes))]
        self.from_image = EqualConv2d(shape[0], channels, 1)
        self.blocks = nn.Sequential(*(StyleBlock(before, after, residual) for before, after in pairwise(widths)))
        self.deviation = MinibatchDeviation(group) if group else nn.Identity()
        self.mix = EqualConv2d(widths[-1] + bool(group), widths[-1], 3)
        self.dense = EqualLinear(widths[-1] * sizes[-1][0] * sizes[-1][1], widths[-1])
        self.score = EqualLinear(widths[-1], 1)
        self.projection = EqualLinear(context_features, widths[-1]) if context_features else None
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = activated(self.mix(self.deviation(self.blocks(activated(self.from_image(x))))))
        h = activated(self.dense(h.flatten(1)))
        score = self.score(h).squeeze(1)
        if self.projection is None:
            return score
        return score + (self.projection(pooled(context)) * h).sum(1) * h.shape[1] ** -0.5

    @property
    def last(self) -> nn.Module:
        return self.score


class StyleBlock(nn.Module):
    """(a(conv(a(conv(x)))) at half the size + conv(x) at half the size) / sqrt(2); the first term alone if not `residual`."""

    def __init__(self, in_channels: int, out_channels: int, residual: bool = True) -> None:
        super().__init__()
        self.first = EqualConv2d(in_channels, in_channels, 3)
        self.second = EqualConv2d(in_channels, out_channels, 3)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        h = activated(self.second(halved(activated(self.first(x)))))
        return h if self.skip is None else (h + self.skip(halved(x))) * 0.5**0.5


def normalised(z: Tensor) -> Tensor:
    """z / sqrt(mean z^2)."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear")


def halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True)
