"""Pairwise comparisons against scipy, against closed forms, and in cases that leave no room for doubt."""

import numpy as np
import pytest
from scipy import special, stats

from genarena.statistics.comparisons import _inverse_trigamma, compare, holm, variances


def draws(seed: int, *spreads: float, num: int = 3) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [list(generator.normal(index, spread, num)) for index, spread in enumerate(spreads)]


def test_two_groups_are_welchs_test() -> None:
    one, other = draws(0, 1.0, 3.0, num=4)
    found, truth = compare([one, other[:3]]), stats.ttest_ind(one, other[:3], equal_var=False)
    low, high = truth.confidence_interval(0.95)
    assert found.p_values[0, 1] == pytest.approx(truth.pvalue, rel=1e-9)
    assert found.differences[0, 1] - found.half_widths[0, 1] == pytest.approx(low, rel=1e-9)
    assert found.differences[0, 1] + found.half_widths[0, 1] == pytest.approx(high, rel=1e-9)


def test_groups_of_like_spread_share_it() -> None:
    """The residual mean square of a one-way analysis of variance, and its degrees of freedom."""
    groups = draws(1, 1.0, 1.0, 1.0, 1.0)
    square, freedom = np.mean([np.var(group, ddof=1) for group in groups]), 8
    t = (np.mean(groups[0]) - np.mean(groups[3])) / np.sqrt(2 * square / 3)
    found = compare(groups)
    assert found.p_values[0, 3] == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9)
    half = stats.t.ppf(1 - 0.05 / 12, freedom) * np.sqrt(2 * square / 3)  # six pairs, two sides
    assert found.half_widths[0, 3] == pytest.approx(half, rel=1e-9)
    assert (found.different == found.different.T).all() and not found.different.diagonal().any()


def test_unlike_spreads_are_told_apart() -> None:
    """Variances of 1 and 10,000 with many degrees of freedom: each group is left its own."""
    own = [1.0, 1e4, 1.0, 1e4, 1.0, 1e4]
    found, freedom = variances(own, np.full(6, 200.0))
    assert np.all(np.abs(np.log(found / own)) < 3.5) and found[1] / found[0] > 100
    assert np.all(freedom >= 200)
    pooled, total = variances([1.0, 1.1, 0.9, 1.05], np.full(4, 10.0))
    assert np.allclose(pooled, 1.0125) and np.all(total == 40.0)


def test_a_variance_out_of_line_is_not_shared() -> None:
    """F(2, 8) of 100 has a p-value of 2e-6; of 5 it has 0.04, which is no rare maximum of five."""
    found, freedom = variances([1.0, 1.0, 1.0, 1.0, 100.0], np.full(5, 2.0))
    assert (found[4], freedom[4]) == (100.0, 2.0) and freedom[0] > 2.0
    assert np.allclose(variances([1.0, 1.0, 1.0, 1.0, 5.0], np.full(5, 2.0)), [[1.8] * 5, [10.0] * 5])


def test_shrunk_variances_are_those_of_smyth() -> None:
    """d0 solves trigamma(d0 / 2) = excess of the variance of the log variances (Smyth 2004, equation 10)."""
    freedom = np.full(8, 4.0)
    own = np.array([0.05, 0.06, 0.05, 0.07, 5.0, 6.0, 5.5, 5.0])
    excess = np.var(np.log(own), ddof=1) - special.polygamma(1, 2.0)
    found, after = variances(own, freedom)
    prior = after[0] - 4.0
    assert special.polygamma(1, prior / 2.0) == pytest.approx(excess, rel=1e-8)
    assert np.allclose(found, (prior * own.mean() + 4.0 * own) / (prior + 4.0))


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 7.0, 300.0])
def test_inverse_of_the_trigamma_function(x: float) -> None:
    assert _inverse_trigamma(float(special.polygamma(1, x))) == pytest.approx(x, rel=1e-8)


def test_holm_stops_at_the_first_that_is_too_large() -> None:
    """Four hypotheses: limits 0.0125, 0.0167, 0.025, 0.05, by hand."""
    assert holm(np.array([0.03, 0.01, 0.04, 0.016])).tolist() == [False, True, False, True]
    assert holm(np.array([0.013, 0.013, 0.013, 0.013])).tolist() == [False] * 4
    assert holm(np.array([0.0125, 0.05, 0.0, 0.025])).tolist() == [True] * 4


def test_without_any_spread_a_difference_is_certain() -> None:
    found = compare([[2.0] * 3, [2.0] * 3, [2.5] * 3])
    assert found.p_values[0].tolist() == [1.0, 1.0, 0.0]
    assert found.different[0].tolist() == [False, False, True]
    assert (found.half_widths == 0.0).all()


def test_one_model_without_spread_among_others() -> None:
    """It does not make the spread of the others zero."""
    found = compare([[2.0] * 3, *draws(3, 1.0, 1.0, 1.0, 1.0)])
    assert np.isfinite(found.half_widths).all() and not found.different[0, 3]


def test_the_largest_numbers_of_a_row_are_compared_too() -> None:
    """A row may hold 1e100: the square of its variance is no number any more."""
    found = compare([[1e100, -1e100, 0.0], [0.0, 1e100, 5.0], [-1e99, 1.0, 2.0], [1.0, 2.0, 3.0]])
    assert np.isfinite(found.half_widths).all() and np.isfinite(found.p_values).all()
