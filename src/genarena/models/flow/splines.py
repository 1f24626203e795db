"""Monotone rational-quadratic splines (Durkan et al. 2019, arXiv 1906.04032, sec. 3.1; Gregory & Delbourgo 1982).

A spline maps [-B, B] onto itself through K + 1 knots, with a positive slope at every knot; outside it is the identity.
Both outer slopes are 1, so that the slope is continuous on the whole line. Zero parameters give the identity.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SIZE, LEAST_SLOPE = 1e-3, 1e-3  # of the authors' code; the first is of a bin, in shares of 2 B
SHIFT = math.log(math.expm1(1.0 - LEAST_SLOPE))  # so that zero parameters give slopes of 1
X, Y = 0, 1


class Bin(NamedTuple):
    """The bin in which a value lies: its lower left knot, size, slopes at both ends; each (N, *shape)."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def containing(cls, value: Tensor, axis: int, parameters: Tensor, bound: float) -> "Bin":
        """value (N, *shape) in [-B, B], a place on the axis X or Y. parameters (N, 3 K - 1, *shape), any real numbers: K
        widths and K heights, of which softmax makes shares, and K - 1 inner slopes.

        Only what the bin needs has a gradient: sums over the bins before it, its own size, two slopes. Bins come first, so
        that the values of one lie next to each other.
        """
        num_bins, parameters = (parameters.shape[1] + 1) // 3, parameters.movedim(1, 0).contiguous()
        sizes, slopes = parameters.split([2 * num_bins, num_bins - 1])
        shares = torch.softmax(sizes.unflatten(0, (2, num_bins)), 1)  # (2, K, N, *shape)
        rest = 1.0 - LEAST_SIZE * num_bins  # of 2 B, which the shares divide
        before = (
            _ends(shares[axis].detach(), rest) <= value / (2.0 * bound) + 0.5
        )  # bins that end at or below the value
        number = before.sum(0, keepdim=True)
        sums, least = (shares[:, :-1] * before).sum(1), LEAST_SIZE * number[0].to(value.dtype)
        corner = 2.0 * bound * (least + rest * sums) - bound
        own = shares.gather(1, number.expand(2, 1, *value.shape)).squeeze(1)
        size = 2.0 * bound * (LEAST_SIZE + rest * own)
        outer = torch.zeros_like(slopes[:1])
        around = torch.cat([outer, slopes, outer]).gather(0, torch.cat([number, number + 1]))
        return cls(*corner, *size, *(LEAST_SLOPE + F.softplus(around + SHIFT)))

    def climb(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """y above the lower left knot, and log dy/dx, where x is at `share` of the width (eq. 4 and 5)."""
        mean, rest = self.height / self.width, 1.0 - share
        square, product = share.square(), share * rest
        denominator = mean + (self.left + self.right - 2.0 * mean) * product
        numerator = self.right * square + 2.0 * mean * product + self.left * rest.square()
        y = self.height * (mean * square + self.left * product) / denominator
        return y, torch.log(numerator) + 2.0 * torch.log(mean / denominator)


def _ends(shares: Tensor, rest: float) -> Tensor:
    """Where the bins 1 .. K - 1 end, in shares of 2 B: (K - 1, N, *shape) from (K, N, *shape)."""
    least = LEAST_SIZE * torch.arange(1, len(shares), dtype=shares.dtype, device=shares.device)
    return torch.add(least.view(-1, *[1] * (shares.dim() - 1)), shares[:-1].cumsum(0), alpha=rest)


def spline(x: Tensor, parameters: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """y and log dy/dx, both (N, *shape), of x (N, *shape) under parameters (N, 3 K - 1, *shape) (eq. 4).

    Values outside [-bound, bound] are clamped before the formula, and the formula's result is not selected for them: a
    number that is not finite in the branch that is not selected would still spoil the gradient.
    """
    inside, clamped = x.abs() < bound, x.clamp(-bound, bound)
    found = Bin.containing(clamped, X, parameters, bound)
    climb, log_slope = found.climb(((clamped - found.x) / found.width).clamp(0.0, 1.0))
    return torch.where(inside, found.y + climb, x), torch.where(inside, log_slope, 0.0)


def inverse_spline(y: Tensor, parameters: Tensor, bound: float) -> Tensor:
    """The x of `spline` that has this y (eq. 6-8).

    The root of the quadratic equation is taken in the form without cancellation. Rounding can make the discriminant
    negative, which is 0 then; where it is close to 0 half of the digits of the root are lost. One step of Newton's method
    brings them back, so that float32 is enough.
    """
    inside, clamped = y.abs() < bound, y.clamp(-bound, bound)
    found = Bin.containing(clamped, Y, parameters, bound)
    mean, above = found.height / found.width, clamped - found.y
    excess = above * (found.left + found.right - 2.0 * mean)
    a = found.height * (mean - found.left) + excess
    b = found.height * found.left - excess
    c = -mean * above
    root = torch.sqrt((b.square() - 4.0 * a * c).clamp_min(0.0))
    share = (2.0 * c / (-b - root)).clamp(0.0, 1.0)
    climb, log_slope = found.climb(share)
    share = (share - (climb - above) / found.width * torch.exp(-log_slope)).clamp(0.0, 1.0)
    return torch.where(inside, found.x + share * found.width, y)
