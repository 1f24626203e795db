"""The Gaussian of a table with holes, by expectation-maximisation (Dempster, Laird & Rubin 1977; Little & Rubin
2002, sec. 11.2), and what it says of the hidden entries of a row.

Rows are x (N, D) float64, NaN where an entry is hidden.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

AT_ONCE = 2**23  # numbers of all covariances in memory


class Conditional(NamedTuple):
    """Of each row given its observed entries: mean (N, D), the data where observed; covariance (N, D, D), zero there;
    log_prob (N,) nats of what is observed."""

    mean: Tensor
    covariance: Tensor
    log_prob: Tensor


class Fit(NamedTuple):
    """mean (D,), covariance (D, D); objective: nats of all rows after each iteration, with the prior, which never
    falls."""

    mean: Tensor
    covariance: Tensor
    objective: list[float]


def conditional(x: Tensor, mean: Tensor, covariance: Tensor) -> Conditional:
    """E[x_h | x_o] = m_h + S_ho S_oo^-1 (x_o - m_o) and Cov = S_hh - S_ho S_oo^-1 S_oh, row by row in one batch: hidden entries
    get the identity in S_oo, which changes nothing of the others."""
    seen = (~x.isnan()).double()  # (N, D)
    both = seen[:, :, None] * seen[:, None, :]
    root = torch.linalg.cholesky(covariance * both + torch.diag_embed(1.0 - seen))
    off = (x.nan_to_num() - mean) * seen
    cross = covariance * seen[:, None, :]  # S_.o (N, D, D)
    white = torch.linalg.solve_triangular(root, off[:, :, None], upper=False)
    known = torch.linalg.solve_triangular(root, cross.mT, upper=False)  # L^-1 S_o. (N, D, D)
    estimate = mean + (known.mT @ white)[:, :, 0]
    hidden = 1.0 - seen
    left = (covariance - known.mT @ known) * hidden[:, :, None] * hidden[:, None, :]
    log_det = root.diagonal(dim1=1, dim2=2).log().sum(1)
    log_prob = -0.5 * white[:, :, 0].square().sum(1) - log_det - 0.5 * math.log(2.0 * math.pi) * seen.sum(1)
    return Conditional(torch.where(seen > 0, x, estimate), left, log_prob)


def chunks(x: Tensor) -> tuple[Tensor, ...]:
    """Rows whose covariances fit in memory."""
    return x.split(max(1, AT_ONCE // x.shape[1] ** 2))


def average_variance(x: Tensor) -> Tensor:
    """Of the observed entries of the columns, at least 1e-12."""
    return (x - x.nanmean(0)).square().nanmean(0).mean().clamp_min(1e-12)


def fit(x: Tensor, weight: float = 0.0, tolerance: float = 1e-6, most: int = 1000) -> Fit:
    """Maximises log p(observed) - weight / 2 (log |S| + tr(S^-1 v I)), v: the average variance of the columns; with
    weight 0 the likelihood.

    weight: of the prior, in rows. tolerance: the iterations end when one adds less than this many nats per row;
    most: of them. Raises ValueError if a column has no observed entry.
    """
    x = x.double()
    if (empty := x.isnan().all(0)).any():
        raise ValueError(f"column {int(empty.nonzero()[0, 0]) + 1} has no observed entry")
    dims, eye = x.shape[1], torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
    mean, average = x.nanmean(0), average_variance(x)
    variance = (x - mean).square().nanmean(0)
    covariance = torch.where(variance > 0, variance, average).diag()
    objective: list[float] = []

    def value(log_prob: float) -> float:
        if not weight:
            return log_prob
        return log_prob - 0.5 * weight * (torch.logdet(covariance) + average * covariance.inverse().trace()).item()

    for _ in range(most):
        total, scatter, log_prob = torch.zeros(dims).to(x), torch.zeros(dims, dims).to(x), 0.0
        for part in chunks(x):
            found = conditional(part, mean, covariance)
            off = found.mean - mean
            total, scatter = total + off.sum(0), scatter + off.T @ off + found.covariance.sum(0)
            log_prob += found.log_prob.sum().item()
        objective.append(value(log_prob))
        if len(objective) > 1 and objective[-1] - objective[-2] < tolerance * len(x):
            break
        shift = total / len(x)
        mean = mean + shift
        covariance = (scatter - len(x) * torch.outer(shift, shift) + weight * average * eye) / (len(x) + weight)
    return Fit(mean, covariance, objective)


def draws(x: Tensor, mean: Tensor, covariance: Tensor, noise: Tensor) -> Tensor:
    """(K, N, D): hidden entries drawn given the observed ones of their row, from standard normal noise (K, N, D)."""
    parts, first = [], 0
    for part in chunks(x.double()):
        found = conditional(part, mean, covariance)
        values, vectors = torch.linalg.eigh(found.covariance)
        root = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
        drawn = found.mean + (root @ noise[:, first : first + len(part), :, None])[..., 0]
        parts.append(torch.where(part.isnan(), drawn, found.mean))
        first += len(part)
    return torch.cat(parts, 1)
