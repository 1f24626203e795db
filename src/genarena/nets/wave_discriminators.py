"""Discriminators of sound (Kong, Kim & Bae 2020, arXiv 2010.05646, sec. 2.3; Kumar et al. 2019, arXiv 1910.06711, sec. 2.2).

Each gives a logit for every place of its last map, and its hidden maps, which the generator is to match.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

SLOPE = 0.1  # of the leaky ReLUs for negative inputs
Judgement = tuple[Tensor, list[Tensor]]  # logits (N, places), and the hidden maps, first layer first


class PeriodDiscriminator(nn.Module):
    """Sound (N, 1, T) folded to (N, 1, T / period, period): every period-th sample, which no kernel mixes with the others.

    channels: of the first layer; the others have 4, 16, 32 and 32 times as many."""

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, *(channels * factor for factor in (1, 4, 16, 32, 32))]
        strides = (3, 3, 3, 3, 1)
        self.hidden = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (stride, 1), (2, 0)))
            for (before, after), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> Judgement:
        missing = -x.shape[-1] % self.period
        x = F.pad(x, (0, missing), mode="reflect") if missing else x
        return _judged(self.hidden, self.last, x.unflatten(2, (-1, self.period)))


class ScaleDiscriminator(nn.Module):
    """Sound (N, 1, T) at one resolution: long kernels in groups of channels.

    channels: of the first layer; the last have eight times as many. spectral: spectral instead of weight normalisation."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        widths = [channels * factor for factor in (1, 1, 2, 4, 8, 8)]
        layers: list[nn.Module] = [nn.Conv1d(1, widths[0], 15, padding=7)]
        for (before, after), stride, groups in zip(pairwise(widths), (2, 2, 4, 4, 1), (4, 16, 16, 16, 16), strict=True):
            layers.append(nn.Conv1d(before, after, 41, stride, 20, groups=math.gcd(groups, before)))
        layers.append(nn.Conv1d(widths[-1], widths[-1], 5, padding=2))
        self.hidden = nn.ModuleList(norm(layer) for layer in layers)
        self.last = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judgement:
        return _judged(self.hidden, self.last, x)


class WaveDiscriminators(nn.Module):
    """One `PeriodDiscriminator` for each of `periods`, and `num_scales` of the other kind: the first hears the sound itself,
    each further one the mean of what the one before hears, at half the rate."""

    def __init__(self, periods: Sequence[int], period_channels: int, num_scales: int, scale_channels: int) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period, period_channels) for period in periods)
        self.scales = nn.ModuleList(ScaleDiscriminator(scale_channels, not number) for number in range(num_scales))

    def forward(self, x: Tensor) -> list[Judgement]:
        """x (N, 1, T)."""
        found = [discriminator(x) for discriminator in self.periods]
        for discriminator in self.scales:
            found.append(discriminator(x))
            x = F.avg_pool1d(x, 4, 2, padding=2)
        return found


def _judged(hidden: nn.ModuleList, last: nn.Module, h: Tensor) -> Judgement:
    maps = []
    for layer in hidden:
        h = F.leaky_relu(layer(h), SLOPE)
        maps.append(h)
    return last(h).flatten(1), maps
