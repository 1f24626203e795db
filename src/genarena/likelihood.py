"""Likelihood and its units, in one place.

Convention: `log_prob` is in nats per example and speaks about the data *as it is on the wire*. For discrete data it is
a log-probability mass of integer levels; for continuous data a log-density. A model that works on dequantised pixels
u = (x + noise) / levels in [0, 1) adds `dequantisation_log_det`, so its number is comparable with everyone else's:
log P(x) >= E_noise[ log p(u) ] - D log(levels)   (Theis, van den Oord & Bethge 2016, arXiv 1511.01844, sec. 3.1).
"""

import math
from enum import StrEnum

import torch
from torch import Tensor

from genarena.spec import DataSpec


class Likelihood(StrEnum):
    """How a model's `log_prob` relates to the true log-likelihood."""

    EXACT = "exact"
    LOWER_BOUND = "lower_bound"
    ESTIMATE = "estimate"
    NONE = "none"

    @property
    def sign(self) -> str:
        """What a table prints before a value of the negative log-likelihood or of bits/dim."""
        return {"exact": "=", "lower_bound": "<=", "estimate": "~", "none": ""}[self.value]


def bits_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    """-log2 p per dimension from nats per example; any shape. A uniform model scores log2(num_levels)."""
    return -log_prob / (num_dims * math.log(2.0))


def to_unit(x: Tensor, num_levels: int) -> Tensor:
    """Integer levels 0 .. L-1 to floats in [-1, 1]."""
    return x.float() * (2.0 / (num_levels - 1)) - 1.0


def from_unit(x: Tensor, num_levels: int) -> Tensor:
    """Floats, meant in [-1, 1], to the nearest level as uint8: the one quantiser of the project."""
    return ((x.float().clamp(-1.0, 1.0) + 1.0) * (0.5 * (num_levels - 1))).round().to(torch.uint8)


def dequantise(x: Tensor, num_levels: int) -> Tensor:
    """Uniform dequantisation: integer levels to u in [0, 1), u = (x + U[0, 1)) / L."""
    noisy = (x.float() + torch.rand(x.shape, device=x.device)) / num_levels
    return noisy.clamp_max(1.0 - 2.0**-24)  # float32 rounds 255.99999 / 256 to 1


def quantise(u: Tensor, num_levels: int) -> Tensor:
    """Inverse of `dequantise`: u in [0, 1) to levels floor(u L), uint8; values outside are clamped."""
    return (u.float() * num_levels).floor().clamp(0, num_levels - 1).to(torch.uint8)


def dequantisation_log_det(spec: DataSpec) -> float:
    """-D log L: add it to log p(u) in nats to get (a bound on) the log mass of integer data. 0 for continuous data."""
    return -spec.num_dims * math.log(spec.num_levels) if spec.num_levels else 0.0


def log_mean_exp(log_weights: Tensor, dim: int = 0) -> Tensor:
    """log(1/K sum_k exp(w_k)) over `dim`: the importance-weighted bound (Burda et al. 2016, arXiv 1509.00519, eq. 8)."""
    return torch.logsumexp(log_weights, dim) - math.log(log_weights.shape[dim])
