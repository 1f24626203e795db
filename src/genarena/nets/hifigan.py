"""The generator of HiFi-GAN (Kong, Kim & Bae 2020, arXiv 2010.05646, sec. 2.2 and app. A): a mel spectrogram to its sound.

Differs from the paper: the frames of a mel lie in the middle of what they become, because ours are 256 samples apart and begin
at sample 0 (`statistics/mel.py`): half a hop is cut at both ends.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genarena.spec import MEL_HOP

SLOPE, LAST_SLOPE = 0.1, 0.01  # of the leaky ReLUs for negative inputs
START = 0.01  # deviation of the weights before training, but of the first layer


class HiFiGANGenerator(nn.Module):
    """Mel frames (N, in_features, frames) to sound (N, 1, 256 (frames - 1)) in (-1, 1); no noise goes in.

    channels: after the first layer; halved wherever the time is refined. rates: of the transposed convolutions, whose product
    is 256; their kernels are twice as long. kernels: of the residual blocks that are averaged after each of them
    ("multi-receptive field fusion"). dilations: of each of these blocks. paired: whether a plain convolution follows each
    dilated one. reach: samples on each side of a place on whose mel it depends.
    Raises ValueError for other rates, even kernels, and other numbers of dilations than of kernels.
    """

    def __init__(
        self,
        in_features: int,
        channels: int,
        rates: Sequence[int],
        kernels: Sequence[int],
        dilations: Sequence[Sequence[int]],
        paired: bool,
    ) -> None:
        super().__init__()
        _check(rates, kernels, dilations)
        self.num_kernels = len(kernels)
        self.reach = _reach(rates, kernels, dilations, paired)
        widths = [max(1, channels >> stage) for stage in range(len(rates) + 1)]
        self.first = weight_norm(nn.Conv1d(in_features, widths[0], 7, padding=3))
        self.ups = nn.ModuleList(
            _started(
                nn.ConvTranspose1d(before, after, 2 * rate, rate, padding=rate // 2 + rate % 2, output_padding=rate % 2)
            )
            for before, after, rate in zip(widths, widths[1:], rates, strict=False)
        )
        self.blocks = nn.ModuleList(
            FusedBlock(width, kernel, each, paired)
            for width in widths[1:]
            for kernel, each in zip(kernels, dilations, strict=True)
        )
        self.last = _started(nn.Conv1d(widths[-1], 1, 7, padding=3))

    def forward(self, mel: Tensor) -> Tensor:
        h = self.first(mel)
        for stage, up in enumerate(self.ups):
            h = up(F.leaky_relu(h, SLOPE))
            blocks = self.blocks[stage * self.num_kernels : (stage + 1) * self.num_kernels]
            h = sum(block(h) for block in blocks) / self.num_kernels
        x = torch.tanh(self.last(F.leaky_relu(h, LAST_SLOPE)))
        return x[..., MEL_HOP // 2 : x.shape[-1] - MEL_HOP // 2]


class FusedBlock(nn.Module):
    """Residual convolutions one after the other, (N, C, T) to the same shape."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], paired: bool) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(_convolution(channels, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(_convolution(channels, kernel, 1) for _ in dilations) if paired else None

    def forward(self, h: Tensor) -> Tensor:
        for number, dilated in enumerate(self.dilated):
            change = dilated(F.leaky_relu(h, SLOPE))
            if self.plain is not None:
                change = self.plain[number](F.leaky_relu(change, SLOPE))
            h = h + change
        return h


def _convolution(channels: int, kernel: int, dilation: int) -> nn.Module:
    return _started(nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel // 2)))


def _started(layer: nn.Module) -> nn.Module:
    """Small weights, under weight normalisation (Salimans & Kingma 2016, arXiv 1602.07868)."""
    nn.init.normal_(layer.weight, std=START)
    return weight_norm(layer)


def _check(rates: Sequence[int], kernels: Sequence[int], dilations: Sequence[Sequence[int]]) -> None:
    if math.prod(rates) != MEL_HOP or min(rates) < 2:
        raise ValueError(f"rates={list(rates)}: expected numbers above 1 whose product is {MEL_HOP}")
    if any(kernel % 2 == 0 or kernel < 1 for kernel in kernels):
        raise ValueError(f"kernels={list(kernels)}: expected odd numbers")
    if len(dilations) != len(kernels) or not kernels:
        raise ValueError(f"dilations={[list(each) for each in dilations]}: expected a list for each of {list(kernels)}")


def _reach(rates: Sequence[int], kernels: Sequence[int], dilations: Sequence[Sequence[int]], paired: bool) -> int:
    unit, reach = MEL_HOP, MEL_HOP // 2 + 3 * MEL_HOP + 3  # half a hop is cut; the first and the last layer
    for rate in rates:
        reach += unit  # a transposed kernel covers two places
        unit //= rate
        per_block = [k // 2 * sum(d + paired for d in each) for k, each in zip(kernels, dilations, strict=True)]
        reach += unit * max(per_block)
    return reach
