"""All pairwise comparisons of several models, each with a few training seeds.

Three or five seeds are too few to know the spread of one model. The spread of all models of a table is therefore estimated
together, and the level of the tests holds for the table: for models of equal mean and spread, a difference is claimed between
any two in at most 5% of tables. docs/statistics.md has simulations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genarena.statistics.intervals import LEVEL, mean, variance

Array = NDArray[np.float64]
EVIDENT = (
    1.5  # variances count as unequal if the variance of their logarithms exceeds chance by this many standard errors
)
OUT_OF_LINE = (
    0.02  # level of the test, over all groups, of whether the variance of one is larger than that of the others
)


@dataclass(frozen=True)
class Comparisons:
    """Of m models, as (m, m) arrays. differences[i, j]: mean of i minus mean of j.

    half_widths: half the simultaneous 95% intervals of all differences of the table (Bonferroni). p_values: two-sided, of equal
    means, for one pair alone. different: whether the difference is significant, with Holm's correction over all pairs.
    """

    differences: Array
    half_widths: Array
    p_values: Array
    different: NDArray[np.bool_]


def compare(groups: Sequence[Sequence[float]]) -> Comparisons:
    """Compare the means of at least two groups of at least two values each.

    t_ij = (mean_i - mean_j) / sqrt(s_i^2 / n_i + s_j^2 / n_j) with the variances and degrees of freedom of `variances`. The
    degrees of freedom of a pair are Welch's (1947, doi 10.1093/biomet/34.1-2.28), and at most those of all groups together.
    """
    means = np.array([mean(group) for group in groups])
    numbers = np.array([len(group) for group in groups], dtype=float)
    spreads, freedoms = variances([variance(group) for group in groups], numbers - 1.0)
    parts = spreads / numbers
    squares = parts[:, None] + parts[None, :]
    share = np.divide(parts[:, None], squares, out=np.full_like(squares, 0.5), where=squares > 0.0)
    freedom = 1.0 / (share**2 / freedoms[:, None] + (1.0 - share) ** 2 / freedoms[None, :])
    freedom = np.minimum(freedom, np.sum(numbers - 1.0))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        differences = means[:, None] - means[None, :]
        errors = np.sqrt(squares)
        # Without any spread, a difference is certain.
        t = np.where(differences == 0.0, 0.0, np.abs(differences) / errors)
    p_values = 2.0 * special.stdtr(freedom, -t)
    upper = np.triu_indices(len(groups), 1)
    quantile = special.stdtrit(freedom, 1.0 - LEVEL / (2.0 * len(upper[0])))
    different = np.zeros(p_values.shape, dtype=bool)
    different[upper] = holm(p_values[upper])
    return Comparisons(differences, quantile * errors, p_values, different | different.T)


def holm(p_values: Array, level: float = LEVEL) -> NDArray[np.bool_]:
    """Which of k hypotheses to reject, so that one true one is rejected with probability `level` at most.

    The smallest p-value is compared with level / k, the next with level / (k - 1), up to the first that is larger (Holm 1979,
    Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(p_values, kind="stable")
    passed = np.logical_and.accumulate(p_values[order] <= level / np.arange(len(order), 0, -1))
    rejected = np.zeros(len(order), dtype=bool)
    rejected[order] = passed
    return rejected


def variances(own: Sequence[float], freedom: Array) -> tuple[Array, Array]:
    """Variance and degrees of freedom of each group, estimated together.

    own: variances of the groups alone, with `freedom` degrees of freedom. Of two groups they are left as they are, which makes
    Welch's test. Where those of more groups do not differ by more than chance, every group gets their mean, with all degrees
    of freedom. Else each is shrunk towards it, (d0 s0^2 + d s^2) / (d0 + d), with d0 + d degrees of freedom; d0 follows from
    how much the log variances differ (Smyth 2004, doi 10.2202/1544-6115.1027, section 6.2). The mean is arithmetic, so that
    the result errs towards a large spread. A group whose variance is out of line with that of the others keeps its own.
    """
    found, total = np.asarray(own, dtype=float), float(np.sum(freedom))
    largest = float(found.max())
    if len(found) == 2 or largest == 0.0:
        return found, freedom
    scaled = found / largest  # sums of the largest numbers of a row would overflow
    pooled = float(np.sum(freedom * scaled)) / total
    prior = _prior_freedom(np.maximum(scaled, 1e-6 * pooled), freedom)
    if np.isinf(prior):
        shrunk, freedoms = np.full_like(found, pooled), np.full_like(found, total)
    else:
        shrunk, freedoms = (prior * pooled + freedom * scaled) / (prior + freedom), prior + freedom
    outside = _out_of_line(scaled, freedom)
    return np.where(outside, scaled, shrunk) * largest, np.where(outside, freedom, freedoms)


def _out_of_line(found: Array, freedom: Array) -> NDArray[np.bool_]:
    """Which variances are too large to be one with the mean of the others."""
    remaining = np.sum(freedom) - freedom
    others = (np.sum(freedom * found) - freedom * found) / remaining
    ratios = np.divide(found, others, out=np.full_like(found, np.inf), where=others > 0.0)
    return special.fdtrc(freedom, remaining, ratios) < OUT_OF_LINE / len(found)


def _prior_freedom(found: Array, freedom: Array) -> float:
    """d0: infinite where the variances differ no more than variances of equal groups do."""
    logs = np.log(found) - special.digamma(freedom / 2.0) + np.log(freedom / 2.0)
    by_chance = special.polygamma(1, freedom / 2.0)
    excess = float(np.var(logs, ddof=1) - np.mean(by_chance))
    fourth = special.polygamma(3, freedom / 2.0) + 2.0 * by_chance**2
    if excess <= EVIDENT * float(np.sqrt(np.mean(fourth) / (len(found) - 1))):
        return np.inf
    return 2.0 * _inverse_trigamma(excess)


def _inverse_trigamma(value: float) -> float:
    """The x > 0 whose trigamma is `value`, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    x = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1.0 - trigamma / value) / special.polygamma(2, x)
        x += step
        if abs(step) < 1e-10 * x:
            break
    return float(x)
