"""The networks of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), for images of any size from 8x8.

Weights are N(0, 1) and scaled when they are used (equalised learning rate: Karras et al. 2018, arXiv 1710.10196, sec. 4.1).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import pooled
from genarena.nets.pyramid import pyramid

SLOPE, GAIN = 0.2, 2.0**0.5  # of leaky ReLUs, and what keeps the variance through one
SLOW = 0.01  # learning rate of the mapping, relative to all others


class EqualLinear(nn.Module):
    """rate (W x / sqrt(fan-in) + b), W ~ N(0, 1) / rate: at the start as with rate 1, but it learns `rate` times as fast."""

    def __init__(self, in_features: int, out_features: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.rate * self.weight.shape[1] ** -0.5), self.rate * self.bias)


class EqualConv2d(nn.Module):
    """W * x / sqrt(fan-in) + b, of the same size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight * self.weight[0].numel() ** -0.5
        return F.conv2d(x, kernel, self.bias, padding=self.weight.shape[2] // 2)


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
    """z, scaled to length sqrt(D), and the vector of a context, to styles w (N, style_dim)."""

    def __init__(self, latent_dim: int, style_dim: int, num_layers: int, context_features: int) -> None:
        widths = [latent_dim + context_features] + [style_dim] * num_layers
        super().__init__(*(EqualLinear(before, after, rate=SLOW) for before, after in pairwise(widths)))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = normalised(z)
        h = h if context is None else torch.cat([h, pooled(context)], 1)
        for layer in self:
            h = activated(layer(h))
        return h


class Synthesis(nn.Module):
    """Styles w (N, style_dim) to images (N, C, H, W), not bounded: the sum of an image per size (fig. 7, output skips).

    channels: width at full size; each halving multiplies it by `growth`.
    """

    def __init__(self, shape: tuple[int, ...], channels: int, growth: int, style_dim: int) -> None:
        super().__init__()
        self.sizes = pyramid(*shape[1:])[::-1]  # coarsest first
        widths = [channels * growth**level for level in reversed(range(len(self.sizes)))]
        self.start = nn.Parameter(torch.randn(1, widths[0], *self.sizes[0]))
        befores = [widths[0], *widths[:-1]]
        self.first = nn.ModuleList(ModulatedConv2d(a, b, 3, style_dim) for a, b in zip(befores, widths, strict=True))
        self.second = nn.ModuleList(ModulatedConv2d(width, width, 3, style_dim) for width in widths[1:])
        self.to_image = nn.ModuleList(ModulatedConv2d(width, shape[0], 1, style_dim, False) for width in widths)
        self.to(memory_format=torch.channels_last)

    def forward(self, w: Tensor) -> Tensor:
        h = activated(self.first[0](self.start.expand(len(w), -1, -1, -1), w))
        image = self.to_image[0](h, w)
        for first, second, to_image, size in zip(
            self.first[1:], self.second, self.to_image[1:], self.sizes[1:], strict=True
        ):
            h = activated(second(activated(first(resized(h, size), w)), w))
            image = resized(image, size) + to_image(h, w)
        return image


class StyleGenerator(nn.Module):
    """Latent vectors (N, latent_dim), and a context (N, F) where there is one, to images (N, C, H, W) in [-1, 1]."""

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        channels: int,
        growth: int,
        style_dim: int,
        num_mapping: int,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.mapping = Mapping(latent_dim, style_dim, num_mapping, context_features)
        self.synthesis = Synthesis(shape, channels, growth, style_dim)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.tanh(self.synthesis(self.mapping(z, context)))


class StyleDiscriminator(nn.Module):
    """Images (N, C, H, W) to logits (N,): residual blocks that halve the size (fig. 7). With a context c the projection
    (V c)^T h is added (Miyato & Koyama 2018, arXiv 1802.05637)."""

    def __init__(self, shape: tuple[int, ...], channels: int, growth: int, context_features: int = 0) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])
        widths = [channels * growth**level for level in range(len(sizes))]
        self.from_image = EqualConv2d(shape[0], channels, 1)
        self.blocks = nn.Sequential(*(StyleBlock(before, after) for before, after in pairwise(widths)))
        self.mix = EqualConv2d(widths[-1], widths[-1], 3)
        self.dense = EqualLinear(widths[-1] * sizes[-1][0] * sizes[-1][1], widths[-1])
        self.score = EqualLinear(widths[-1], 1)
        self.projection = EqualLinear(context_features, widths[-1]) if context_features else None
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = activated(self.mix(self.blocks(activated(self.from_image(x)))))
        h = activated(self.dense(h.flatten(1)))
        score = self.score(h).squeeze(1)
        if self.projection is None:
            return score
        return score + (self.projection(pooled(context)) * h).sum(1) * h.shape[1] ** -0.5

    @property
    def last(self) -> nn.Module:
        return self.score


class StyleBlock(nn.Module):
    """(a(conv(a(conv(x)))) at half the size + conv(x) at half the size) / sqrt(2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = EqualConv2d(in_channels, in_channels, 3)
        self.second = EqualConv2d(in_channels, out_channels, 3)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = activated(self.second(halved(activated(self.first(x)))))
        return (h + self.skip(halved(x))) * 0.5**0.5


def activated(x: Tensor) -> Tensor:
    return GAIN * F.leaky_relu(x, SLOPE)


def normalised(z: Tensor) -> Tensor:
    """z / sqrt(mean z^2)."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear")


def halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True)
