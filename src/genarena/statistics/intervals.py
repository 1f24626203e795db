"""Confidence intervals over training seeds and over sampling seeds, with or without a standard error that seeds share."""

import math
from collections.abc import Sequence

from scipy import special

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


def joined_half_width(values: Sequence[float], shared_errors: Sequence[float]) -> float:
    """Half the 95% interval of the mean of values that also share an error: sqrt(t_half_width^2 + (1.96 e)^2).

    values: one for each training seed. shared_errors: standard errors of an error that is the same in all values, such as
    that of the test examples; e is their root mean square. No spread of the values shows such an error, and no number of
    seeds makes it smaller. The two parts are independent, so their half-widths add as squares (Howe 1974, JASA 69, 789-794).
    """
    shared = math.hypot(*shared_errors) / math.sqrt(len(shared_errors) or 1)
    return math.hypot(t_half_width(values), float(special.ndtri(1.0 - LEVEL / 2.0)) * shared)


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


def t_quantile(freedom: float, level: float = LEVEL) -> float:
    """The number that |t| exceeds with probability `level`, for Student's t with `freedom` degrees of freedom."""
    return float(special.stdtrit(freedom, 1.0 - level / 2.0))
