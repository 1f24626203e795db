"""Densities of the components of a mixture of Gaussians."""

import math

import torch
from torch import Tensor


def log_joint(u: Tensor, log_weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """log pi_k + log N(u; mean_k, C_k), (N, K) nats, of u (N, D), weights (K,) and means (K, D), float64; factors: Cholesky
    factors (K, D, D) of the covariances, or standard deviations (K, D)."""
    is_full = factors.dim() == 3
    scales = factors.diagonal(dim1=1, dim2=2) if is_full else factors
    constant = log_weights - scales.log().sum(1) - 0.5 * u.shape[1] * math.log(2 * math.pi)
    if is_full:
        centred = (u - means[:, None]).mT  # (K, D, N)
        white = torch.linalg.solve_triangular(factors, centred, upper=False).square().sum(1).T
    else:  # without a tensor (K, N, D)
        origin, precision = means.mean(0), factors.pow(-2)
        u, means = u - origin, means - origin
        white = u.square() @ precision.T - 2.0 * u @ (precision * means).T + (precision * means.square()).sum(1)
    return constant - 0.5 * white
