"""Spearman's rank correlation against scipy, and where it is not defined."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from genarena.statistics.rank_correlation import rank_correlation


def test_it_is_that_of_scipy_with_and_without_equal_values() -> None:
    generator = np.random.default_rng(0)
    for highest in (3, 10, 1000):
        one, two = generator.integers(highest, size=(2, 12))
        assert rank_correlation(one, two) == pytest.approx(spearmanr(one, two).statistic, abs=1e-12)
    assert rank_correlation([1.0, 2.0, 3.0], [0.1, 10.0, 11.0]) == pytest.approx(1.0)
    assert rank_correlation([1.0, 2.0, 3.0], [5.0, 4.0, -1.0]) == pytest.approx(-1.0)


def test_equal_values_have_no_order() -> None:
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert rank_correlation([], []) is None
