"""Monotone rational-quadratic splines (Durkan et al. 2019, arXiv 1906.04032, sec. 3.1; Gregory & Delbourgo 1982).

A spline maps [-B, B] onto itself through K + 1 knots, with a positive slope at every knot; outside it is the identity.
Both outer slopes are 1, so that the slope is continuous on the whole line. Zero parameters give the identity.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_WIDTH, LEAST_HEIGHT, LEAST_SLOPE = 1e-3, 1e-3, 1e-3  # of the authors' code; widths and heights in shares of 2 B


class Knots(NamedTuple):
    """x, y, slope: (N, K + 1, *shape), rising in dimension 1 from -B to B."""

    x: Tensor
    y: Tensor
    slope: Tensor

    @classmethod
    def of(cls, parameters: Tensor, bound: float) -> "Knots":
        """From any real parameters (N, 3 K - 1, *shape): K widths, K heights and K - 1 inner slopes."""
        num_bins = (parameters.shape[1] + 1) // 3
        widths, heights, slopes = parameters.split([num_bins, num_bins, num_bins - 1], 1)
        slopes = LEAST_SLOPE + F.softplus(slopes + math.log(math.expm1(1.0 - LEAST_SLOPE)))
        one = torch.ones_like(widths[:, :1])
        return cls(
            _places(widths, LEAST_WIDTH, bound), _places(heights, LEAST_HEIGHT, bound), torch.cat([one, slopes, one], 1)
        )


def _places(sizes: Tensor, least: float, bound: float) -> Tensor:
    """Raw sizes of K bins to K + 1 places from -bound to bound, both exactly."""
    num_bins = sizes.shape[1]
    shares = least + (1.0 - least * num_bins) * torch.softmax(sizes, 1)
    inner = bound * (2.0 * shares.cumsum(1)[:, :-1] - 1.0)
    edge = torch.full_like(sizes[:, :1], bound)
    return torch.cat([-edge, inner, edge], 1)


class Bin(NamedTuple):
    """The bin in which a value lies: its lower left knot, size, slopes at both ends; each (N, *shape)."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def containing(cls, value: Tensor, places: Tensor, knots: Knots) -> "Bin":
        """value (N, *shape) in [-B, B]; places: knots.x or knots.y."""
        index = (value.unsqueeze(1) >= places[:, 1:-1]).sum(1, keepdim=True)
        x, y, left = (part.gather(1, index).squeeze(1) for part in knots)
        upper_x, upper_y, right = (part.gather(1, index + 1).squeeze(1) for part in knots)
        return cls(x, y, upper_x - x, upper_y - y, left, right)

    def log_slope(self, share: Tensor) -> Tensor:
        """log dy/dx where x is at `share` of the width (eq. 5)."""
        mean, rest = self.height / self.width, 1.0 - share
        numerator = self.right * share.square() + 2.0 * mean * share * rest + self.left * rest.square()
        return 2.0 * torch.log(mean) + torch.log(numerator) - 2.0 * torch.log(self.denominator(share))

    def climb(self, share: Tensor) -> Tensor:
        """y above the lower left knot, where x is at `share` of the width (eq. 4)."""
        mean = self.height / self.width
        rise = mean * share.square() + self.left * share * (1.0 - share)
        return self.height * rise / self.denominator(share)

    def denominator(self, share: Tensor) -> Tensor:
        mean = self.height / self.width
        return mean + (self.left + self.right - 2.0 * mean) * share * (1.0 - share)


def spline(x: Tensor, parameters: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """y and log dy/dx, both (N, *shape), of x (N, *shape) under parameters (N, 3 K - 1, *shape) (eq. 4).

    Values outside [-bound, bound] are clamped before the formula, and the formula's result is not selected for them: a
    number that is not finite in the branch that is not selected would still spoil the gradient.
    """
    inside, clamped = x.abs() < bound, x.clamp(-bound, bound)
    knots = Knots.of(parameters, bound)
    found = Bin.containing(clamped, knots.x, knots)
    share = ((clamped - found.x) / found.width).clamp(0.0, 1.0)
    return torch.where(inside, found.y + found.climb(share), x), torch.where(inside, found.log_slope(share), 0.0)


def inverse_spline(y: Tensor, parameters: Tensor, bound: float) -> Tensor:
    """The x of `spline` that has this y (eq. 6-8).

    The root of the quadratic equation is taken in the form without cancellation. Rounding can make the discriminant
    negative, which is 0 then; where it is close to 0 half of the digits of the root are lost. One step of Newton's method
    brings them back, so that float32 is enough.
    """
    inside, clamped = y.abs() < bound, y.clamp(-bound, bound)
    knots = Knots.of(parameters, bound)
    found = Bin.containing(clamped, knots.y, knots)
    mean, above = found.height / found.width, clamped - found.y
    excess = above * (found.left + found.right - 2.0 * mean)
    a = found.height * (mean - found.left) + excess
    b = found.height * found.left - excess
    c = -mean * above
    root = torch.sqrt((b.square() - 4.0 * a * c).clamp_min(0.0))
    share = (2.0 * c / (-b - root)).clamp(0.0, 1.0)
    error = (found.climb(share) - above) / found.width
    share = (share - error * torch.exp(-found.log_slope(share))).clamp(0.0, 1.0)
    return torch.where(inside, found.x + share * found.width, y)
