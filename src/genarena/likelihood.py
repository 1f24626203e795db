"""Likelihood and its units, in one place.

Convention: `log_prob` is in nats per example, of the data as a data set gives it: for discrete data the log-probability mass
of integer levels, for continuous data a log-density. A model of dequantised pixels u = (x + noise) / levels in [0, 1) adds
`dequantisation_log_det`, so that its values can be compared with those of all other models:
log P(x) >= E_noise[ log p(u) ] - D log(levels)   (Theis, van den Oord & Bethge 2016, arXiv 1511.01844, sec. 3.1).
"""

import math
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.spec import DataSpec, level_dtype


class Likelihood(StrEnum):
    """How a model's `log_prob` relates to the true log-likelihood."""

    EXACT = "exact"
    LOWER_BOUND = "lower_bound"
    ESTIMATE = "estimate"
    NONE = "none"

    @property
    def sign(self) -> str:
        """The sign before a value of negative log-likelihood or bits/dim in a table."""
        return {"exact": "=", "lower_bound": "<=", "estimate": "~", "none": ""}[self.value]


class Parts(NamedTuple):
    """Of a bound, for one draw z ~ q(z|x) of N examples; D dimensions of z, those of `layers` one after the other.

    distortion: -log p(x|z), (N,) nats. rate: KL(q || p) in closed form, (N, D) nats per dimension, or (N, 1): log q(z|x) - log
    p(z) of the draw. shift: the mean of q from that of p, in standard deviations of p (N, D); where p is no normal, the mean.
    """

    distortion: Tensor
    rate: Tensor
    shift: Tensor
    layers: tuple[int, ...]


def bits_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    """-log2 p per dimension from nats per example; any shape. A uniform model scores log2(num_levels)."""
    return -log_prob / (num_dims * math.log(2.0))


def to_unit(x: Tensor, num_levels: int) -> Tensor:
    """Integer levels 0 .. L-1 to floats in [-1, 1]."""
    return x.float() * (2.0 / (num_levels - 1)) - 1.0


def to_amplitudes(x: Tensor, num_levels: int) -> Tensor:
    """Integer levels to the numbers that they stand for in a WAV file, (x - L / 2) / (L / 2) in [-1, 1). Unlike in `to_unit`,
    level L / 2 is silence, 0; the two differ by a level at most. In float64 if x is."""
    x = x if x.is_floating_point() else x.float()
    return (x - num_levels / 2) / (num_levels / 2)


def from_amplitudes(x: Tensor, num_levels: int) -> Tensor:
    """The inverse of `to_amplitudes`: floats to the nearest level, clamped, converted by `as_levels`."""
    levels = (x * (num_levels / 2)).round_().add_(num_levels / 2).clamp_(0, num_levels - 1)
    return as_levels(_nan_where_not_finite(levels, x), num_levels)


def to_space(x: Tensor, spec: DataSpec) -> Tensor:
    """Data to the continuous space of gradients, noise and posterior means: levels to [-1, 1], floats as they are."""
    return to_unit(x, spec.num_levels) if spec.is_discrete else x.float()


def from_space(x: Tensor, spec: DataSpec) -> Tensor:
    """The inverse of `to_space`: to the nearest level (`from_unit`); floats as they are."""
    return from_unit(x, spec.num_levels) if spec.is_discrete else x


def nearest_level(x: Tensor, num_levels: int) -> Tensor:
    """Floats, clamped to [-1, 1], to the nearest level 0 .. L-1, as floats; NaN where x is NaN or infinite."""
    x = x.float()
    levels = x.clamp(-1.0, 1.0).add_(1.0).mul_(0.5 * (num_levels - 1)).round_()
    return _nan_where_not_finite(levels, x)


def from_unit(x: Tensor, num_levels: int) -> Tensor:
    """Floats, clamped to [-1, 1], to the nearest level 0 .. L-1, converted by `as_levels`: the project's only quantiser."""
    return as_levels(nearest_level(x, num_levels), num_levels)


def as_levels(levels: Tensor, num_levels: int) -> Tensor:
    """Whole numbers 0 .. L-1 as floats to the type of samples of integer data: uint8, or int32 above 256 levels.

    If one of them is NaN, all stay floats, because integers have no NaN and a NaN must not become a level. Floats for integer
    data therefore mean that a sample is broken; `genarena.evaluation` counts and shows these samples.
    """
    broken = torch.isnan(levels.sum())  # the sum is NaN if one of them is
    return levels if broken else levels.to(level_dtype(num_levels))


def dequantise(x: Tensor, num_levels: int) -> Tensor:
    """Uniform dequantisation: integer levels to u = (x + U[0, 1)) / L in [0, 1). `quantise` inverts it."""
    x = x.float()
    noisy = (x + torch.rand(x.shape, device=x.device)) / num_levels
    rounding = 2.0**-22  # margin for float32 rounding, which could move u out of the level's bin
    return noisy.clamp(x * ((1.0 + rounding) / num_levels), (x + 1.0) * ((1.0 - rounding) / num_levels))


def quantise(u: Tensor, num_levels: int) -> Tensor:
    """Inverse of `dequantise`: u in [0, 1) to levels floor(u L), converted by `as_levels`; values outside are clamped."""
    u = u.float()
    levels = (u * num_levels).floor_().clamp_(0, num_levels - 1)
    return as_levels(_nan_where_not_finite(levels, u), num_levels)


def cell_to_unit(u: Tensor, num_levels: int) -> Tensor:
    """u in [0, 1) of dequantised levels to the space of `to_unit`, in which the middle of a cell is its level."""
    return (u * num_levels - 0.5) * (2.0 / (num_levels - 1)) - 1.0


def unit_to_cell(x: Tensor, num_levels: int) -> Tensor:
    """The inverse of `cell_to_unit`."""
    return ((x + 1.0) * (0.5 * (num_levels - 1)) + 0.5) / num_levels


def dequantised_levels(x: Tensor, spec: DataSpec) -> tuple[Tensor, float]:
    """From the space of `to_space` (N, *shape) to dequantised levels in [0, L), (N, D) float64, and log |det| of this map.

    Continuous data is only flattened, with 0.
    """
    x = x.flatten(1).double()
    if not spec.is_discrete:
        return x, 0.0
    return unit_to_cell(x, spec.num_levels) * spec.num_levels, spec.num_dims * math.log((spec.num_levels - 1) / 2.0)


def _nan_where_not_finite(levels: Tensor, source: Tensor) -> Tensor:
    """levels + 0 * source, in place: NaN where `source` is NaN or infinite."""
    return levels.add_(source, alpha=0.0)


def dequantisation_log_det(spec: DataSpec) -> float:
    """-D log L: add it to log p(u) in nats to get (a bound on) the log mass of integer data. 0 for continuous data."""
    return -spec.num_dims * math.log(spec.num_levels) if spec.num_levels else 0.0


def log_mean_exp(log_weights: Tensor, dim: int = 0) -> Tensor:
    """log(1/K sum_k exp(w_k)) over `dim`: the importance-weighted bound (Burda et al. 2016, arXiv 1509.00519, eq. 8)."""
    if (num := log_weights.shape[dim]) == 1:
        return log_weights.squeeze(dim)
    return torch.logsumexp(log_weights, dim) - math.log(num)
