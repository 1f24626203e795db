"""What a Gaussian says of rows with holes, and what rows with holes say of a Gaussian (Ghahramani & Jordan 1994).

Rows are x (N, D) float64, NaN where an entry is hidden. A covariance is (D, D), or its diagonal (D,).
"""

import math

import torch
from torch import Tensor

from genarena.statistics import gaussian_em

PRIOR, TOLERANCE = 0.01, 1e-3  # of the Gaussian that a mixture starts from: rows per dimension, nats per row


def log_densities(x: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """log N(x_o; mean_o, C_oo) of what is observed of each row, (N, K) nats; means (K, D), covariances of each."""
    if covariances.dim() == 2:
        return _independent(x, means, covariances)
    found = [
        torch.cat([gaussian_em.conditional(part, *each).log_prob for part in gaussian_em.chunks(x)])
        for each in zip(means, covariances, strict=True)
    ]
    return torch.stack(found, 1)


def _independent(x: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Without a tensor (N, K, D)."""
    seen, precision = (~x.isnan()).double(), 1.0 / variances
    x = x.nan_to_num()
    white = x.square() @ precision.T - 2.0 * x @ (precision * means).T + seen @ (precision * means.square()).T
    return -0.5 * (white + seen @ (variances.log() + math.log(2.0 * math.pi)).T)


def expected(x: Tensor, weights: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """E[x | x_o] (N, D), and the sum of the covariances of x | x_o with `weights` (N,): (D, D), or the diagonal (D,)."""
    if covariance.dim() == 1:
        hidden = x.isnan()
        return torch.where(hidden, mean, x), (weights @ hidden.double()) * covariance
    parts, left = [], torch.zeros_like(covariance)
    for part in gaussian_em.chunks(torch.cat([x, weights[:, None]], 1)):
        found = gaussian_em.conditional(part[:, :-1], mean, covariance)
        parts.append(found.mean)
        left = left + torch.tensordot(part[:, -1], found.covariance, 1)
    return torch.cat(parts), left


def completed(x: Tensor, is_full: bool) -> tuple[Tensor, Tensor, Tensor]:
    """E[x | x_o] (N, D) under the Gaussian of these rows, its mean, and its covariance or the diagonal of it."""
    mean = x.nanmean(0).nan_to_num()
    x = torch.cat([x, mean[None]])  # a column without an observed entry has one
    if is_full:
        mean, covariance, _ = gaussian_em.fit(x, PRIOR * x.shape[1], TOLERANCE)
    else:
        covariance = (x - mean).square().nanmean(0)
        covariance = torch.where(covariance > 0, covariance, gaussian_em.average_variance(x))
    return expected(x, torch.zeros_like(x[:, 0]), mean, covariance)[0][:-1], mean, covariance
