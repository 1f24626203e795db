"""Densities of the components of a mixture of Gaussians."""

import math

import torch
from torch import Tensor


def diagonal_moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of w_k x and of w_k (x - this sum)^2, of x (N, D) under weights (N, K): (K, D) each. Two products, with squares
    about the mean of x, where they lose few digits."""
    centre, total = x.mean(0), weights.sum(0)[:, None]
    first, second = weights.T @ (x - centre), weights.T @ (x - centre).square()
    shift = first + (total - 1.0) * centre
    return centre + shift, (second - 2.0 * shift * first + total * shift.square()).clamp_min(0.0)


def moments(x: Tensor, weights: Tensor, is_full: bool) -> tuple[Tensor, Tensor]:
    """The sum m of w x, (D,), and that of w (x - m)(x - m)^T, (D, D) or its diagonal, of x (N, D) under weights (N,)."""
    mean = weights @ x
    centred = x - mean
    return mean, (centred * weights[:, None]).T @ centred if is_full else weights @ centred.square()


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
