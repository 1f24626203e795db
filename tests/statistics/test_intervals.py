"""Intervals and tests against scipy, against closed forms, and against what they promise."""

import math
import random

import pytest
from scipy import stats

from genarena.statistics.intervals import joined_half_width, sampling_half_width, t_half_width, t_quantile, variance


def test_interval_is_students_t() -> None:
    values = [1.0, 2.0, 4.0, 3.5]
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert math.isclose(t_half_width(values), (high - low) / 2, rel_tol=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 7.5, 1000])
def test_quantiles_are_those_of_scipy(freedom: float) -> None:
    for level in (0.05, 0.001):
        assert t_quantile(freedom, level) == pytest.approx(stats.t.ppf(1 - level / 2, freedom), rel=1e-9)


def test_an_error_that_seeds_share_does_not_average_out() -> None:
    """Half-widths add as squares; with many seeds 1.96 standard errors are left."""
    assert joined_half_width([1.0, 2.0, 3.0], [0.5] * 3) == pytest.approx(
        math.hypot(t_half_width([1.0, 2.0, 3.0]), 0.97998)
    )
    assert joined_half_width([1.0, 2.0, 3.0], []) == t_half_width([1.0, 2.0, 3.0])
    assert joined_half_width([1.0, 1.0], [3.0, 4.0]) == pytest.approx(1.959964 * math.sqrt(12.5))


def test_sampling_interval_of_one_model_is_students_t() -> None:
    values = [3.0, 3.5, 2.5]
    assert math.isclose(sampling_half_width([values]), t_half_width(values), rel_tol=1e-12)
    assert sampling_half_width([[1.0], [2.0]]) is None


def test_sampling_interval_leaves_the_scatter_of_training_out() -> None:
    """Two models a thousand apart, each scattered by one: t(2) * s_p * sqrt(1/2 + 1/2) / 2, s_p^2 = 1/2."""
    expected = float(stats.t.ppf(0.975, 2)) * math.sqrt(0.5) * math.sqrt(0.5 + 0.5) / 2
    assert math.isclose(sampling_half_width([[0.0, 1.0], [1000.0, 1001.0]]), expected, rel_tol=1e-12)
    assert math.isclose(variance([0.0, 1.0]), 0.5)


def test_sampling_interval_covers_in_95_of_100() -> None:
    """Unequal numbers of sampling seeds; the truth is the mean of the models' own means."""
    generator, covered, trials = random.Random(1), 0, 4000
    for _ in range(trials):
        centres = [generator.gauss(0.0, 5.0) for _ in range(3)]
        groups = [
            [generator.gauss(centre, 1.0) for _ in range(num)] for centre, num in zip(centres, (1, 3, 4), strict=True)
        ]
        estimate = sum(sum(group) / len(group) for group in groups) / 3
        covered += abs(estimate - sum(centres) / 3) <= sampling_half_width(groups)
    assert abs(covered / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)
