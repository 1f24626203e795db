"""Confidence intervals over training seeds and over sampling seeds, and Welch's test of two means."""

import math
from collections.abc import Sequence

from scipy import stats

LEVEL = 0.05  # of two-sided tests; confidence intervals have level 1 - LEVEL


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """The unbiased variance of at least two values."""
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def t_half_width(values: Sequence[float]) -> float:
    """t_{n-1} s / sqrt(n): half the 95% interval of the mean (Student 1908, doi 10.2307/2331554); n >= 2."""
    return t_quantile(len(values) - 1) * math.sqrt(variance(values) / len(values))


def sampling_half_width(groups: Sequence[Sequence[float]]) -> float | None:
    """Half the 95% interval of the mean of the groups' means, from the variance within the groups alone.

    A group has the values of one trained model under different sampling seeds, so this is the uncertainty from sampling
    alone, without that from training. The variance is pooled over the groups: t_f s_p sqrt(sum_i 1/m_i) / r with
    f = sum_i (m_i - 1), for r groups of m_i values. None if no group has two values.
    """
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < 1:
        return None
    pooled = sum((len(group) - 1) * variance(group) for group in groups if len(group) > 1) / freedom
    return t_quantile(freedom) * math.sqrt(pooled * sum(1.0 / len(group) for group in groups)) / len(groups)


def t_quantile(freedom: int) -> float:
    return float(stats.t.ppf(1.0 - LEVEL / 2.0, freedom))


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """p-value of Welch's t-test of equal means (Welch 1947, doi 10.1093/biomet/34.1-2.28); None if a side has one value."""
    if min(len(first), len(second)) < 2:
        return None
    parts = variance(first) / len(first), variance(second) / len(second)
    difference = mean(first) - mean(second)
    if sum(parts) == 0.0:  # no variance on either side
        return 1.0 if difference == 0.0 else 0.0
    share = parts[0] / sum(parts)  # squares of shares cannot overflow, unlike those of variances
    freedom = 1.0 / (share**2 / (len(first) - 1) + (1.0 - share) ** 2 / (len(second) - 1))
    return 2.0 * float(stats.t.sf(abs(difference) / math.sqrt(sum(parts)), freedom))
