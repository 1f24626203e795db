"""Scores of an ensemble: K draws (K, N, ...) of a predictive distribution against one truth (N, ...).

CRPS and energy score are fair: unbiased for K -> infinity, so that ensembles of different sizes compare (Ferro 2014, doi
10.1002/qj.2270; Gneiting & Raftery 2007, doi 10.1198/016214506000001437, eq. 20 and 22). Smaller is better, and the truth's own
distribution has the smallest expectation.
"""

import torch
from torch import Tensor

from genarena.statistics.intervals import t_quantile


def crps(draws: Tensor, truth: Tensor) -> Tensor:
    """E|X - y| - E|X - X'| / 2 of each number, (N, ...) float64; in the units of the data. Needs K >= 2."""
    draws, num = draws.double().sort(0).values, len(draws)
    weights = 2.0 * torch.arange(1, num + 1, dtype=torch.float64, device=draws.device) - num - 1.0
    spread = (weights.view(-1, *[1] * truth.dim()) * draws).sum(0) / (num * (num - 1.0))  # E|X - X'| / 2
    return (draws - truth).abs().mean(0) - spread


def energy_score(draws: Tensor, truth: Tensor, counts: Tensor | None = None) -> Tensor:
    """E|X - y| - E|X - X'| / 2 with Euclidean norms of rows, over the square root of their size: (N,) float64.

    counts: which numbers count, bool (N, ...); all, if None. Rows without any are NaN. Needs K >= 2.
    """
    num, draws, truth = len(draws), draws.double().flatten(2), truth.double().flatten(1)
    counts = torch.ones_like(truth) if counts is None else counts.flatten(1).expand_as(truth).double()
    size = counts.sum(1)
    error = ((draws - truth) * counts).square().sum(2).sqrt().mean(0)
    apart = sum(
        ((draws[k + 1 :] - draws[k]) * counts).square().sum(2).sqrt().sum(0) for k in range(num - 1)
    )  # over pairs
    return (error - apart / (num * (num - 1.0))) / size.sqrt().where(size > 0, torch.nan)


def spread_skill(draws: Tensor, truth: Tensor, counts: Tensor | None = None) -> float:
    """sqrt((1 + 1/K) mean variance / mean squared error of the ensemble mean), over all numbers that count: 1 if calibrated,
    below 1 if the draws differ too little. Needs K >= 2."""
    counts = torch.ones_like(truth, dtype=torch.bool) if counts is None else counts.expand_as(truth)
    variance = draws.double().var(0)[counts].mean()
    error = (draws.double().mean(0) - truth)[counts].square().mean()
    return ((1.0 + 1.0 / len(draws)) * variance / error).sqrt().item()


def coverage(draws: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """Whether the truth lies in the interval mean +- t sd sqrt(1 + 1/K), bool (N, ...), which a calibrated Gaussian ensemble
    reaches with probability `level`. Needs K >= 2."""
    num, draws = len(draws), draws.double()
    half = t_quantile(num - 1, 1.0 - level) * draws.std(0) * (1.0 + 1.0 / num) ** 0.5
    return (draws.mean(0) - truth).abs() <= half + 1e-9
