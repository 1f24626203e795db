"""AUROC against its closed form on two normals, scikit-learn and the bootstrap; both false positive rates; ties."""

import math

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from genarena.statistics.detection import (
    Interval,
    auroc,
    auroc_gap,
    average_precision,
    fpr_at_95_ood,
    ood_kept_at_95_id,
    resampled,
)


def two_normals(n: int, m: int, d: float, seed: int, digits: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    inside, outside = rng.standard_normal(n), d + rng.standard_normal(m)
    return (inside, outside) if digits is None else (inside.round(digits), outside.round(digits))


@pytest.mark.parametrize("d", [-1.0, 0.0, 0.5, 2.0])
def test_higher_is_more_anomalous_and_two_normals_have_their_auroc(d: float) -> None:
    found = auroc(*two_normals(20_000, 20_000, d, 0))
    assert found.value == pytest.approx(special.ndtr(d / math.sqrt(2.0)), abs=0.006)
    assert abs(found.value - special.ndtr(d / math.sqrt(2.0))) < 1.5 * found.half_width


@pytest.mark.parametrize(("n", "m", "digits"), [(300, 200, None), (200, 300, 0), (50, 50, 1), (2, 3, 0)])
def test_areas_are_those_of_scikit_learn_with_ties_too(n: int, m: int, digits: int | None) -> None:
    inside, outside = two_normals(n, m, 1.0, n, digits)
    label, score = np.repeat([0, 1], [n, m]), np.concatenate([inside, outside])
    assert auroc(inside, outside).value == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert average_precision(inside, outside) == pytest.approx(average_precision_score(label, score), abs=1e-12)
    assert auroc(-inside, -outside).value == pytest.approx(1.0 - auroc(inside, outside).value, abs=1e-12)


@pytest.mark.parametrize("digits", [None, 0])
def test_the_interval_of_delong_is_that_of_the_bootstrap(digits: int | None) -> None:
    inside, outside = two_normals(400, 250, 0.8, 3, digits)
    rng, values = np.random.default_rng(1), []
    for _ in range(1_500):
        values.append(auroc(rng.choice(inside, len(inside)), rng.choice(outside, len(outside))).value)
    assert auroc(inside, outside).half_width == pytest.approx(1.96 * np.std(values), rel=0.08)


def test_the_interval_covers_the_truth_in_95_of_100_repetitions() -> None:
    truth = special.ndtr(1.0 / math.sqrt(2.0))
    found = [auroc(*two_normals(150, 100, 1.0, seed)) for seed in range(1_000)]
    covered = np.mean([abs(each.value - truth) <= each.half_width for each in found])
    assert 0.93 <= covered <= 0.97  # 0.95 +- 3 sd of 1,000 repetitions


def test_samples_without_an_overlap_have_an_interval_that_holds_the_truth() -> None:
    truth, n = special.ndtr(3.0 / math.sqrt(2.0)), 12
    found = [auroc(*two_normals(n, 3 * n, 3.0, seed)) for seed in range(400)]
    apart = [each for each in found if each.value == 1.0]
    assert len(apart) > 20 and truth < 1.0
    assert {round(each.half_width, 12) for each in apart} == {round(1.0 - 0.025 ** (1 / n), 12)}
    assert all(each.value - each.half_width < truth for each in apart)
    assert 1.0 - apart[0].half_width == pytest.approx(special.betaincinv(n, 1, 0.025))  # Clopper-Pearson, n of n
    assert auroc(np.arange(5.0), -np.arange(1.0, 9.0)) == Interval(0.0, pytest.approx(1.0 - 0.025**0.2))


def test_the_two_rates_are_different_and_each_is_its_definition() -> None:
    inside, outside = two_normals(40_000, 40_000, 1.0, 5)
    outside = 0.5 * (outside - 1.0) + 1.0  # the standard deviations differ, so the two rates do
    z = special.ndtri(0.95)
    assert fpr_at_95_ood(inside, outside) == pytest.approx(special.ndtr(-(1.0 - 0.5 * z)), abs=0.01)
    assert ood_kept_at_95_id(inside, outside) == pytest.approx(special.ndtr((z - 1.0) / 0.5), abs=0.01)
    fpr, tpr, _ = roc_curve(np.repeat([0, 1], 40_000), np.concatenate([inside, outside]), drop_intermediate=False)
    assert fpr_at_95_ood(inside, outside) == pytest.approx(fpr[tpr >= 0.95][0], abs=1e-12)


def test_rates_of_few_scores_by_hand() -> None:
    inside, outside = (
        np.arange(20.0),
        np.arange(20.0) + 5.0,
    )  # 19 of 20 outside are at least 6; 19 of 20 inside at most 18
    assert fpr_at_95_ood(inside, outside) == 14 / 20
    assert ood_kept_at_95_id(inside, outside) == 14 / 20
    assert fpr_at_95_ood(np.zeros(4), np.zeros(4)) == 1.0


def test_resamples_repeat_themselves_and_infinite_scores_have_ranks() -> None:
    inside, outside = two_normals(500, 500, 1.0, 7)
    outside[:3] = np.inf
    one, two = resampled(inside, outside), resampled(inside, outside)
    assert one == two and one["aupr_out"].value == pytest.approx(average_precision(inside, outside), abs=1e-12)
    assert 0.0 < one["fpr_at_95_ood"].half_width < 0.15
    half = resampled(np.tile(inside, 4), np.tile(outside, 4))["aupr_out"].half_width  # four times the examples
    assert half == pytest.approx(one["aupr_out"].half_width / 2.0, rel=0.3)


def test_the_gap_of_two_areas_is_paired() -> None:
    """Of correlated scores of the same examples: the interval is that of the bootstrap, not of independent areas."""
    rng = np.random.default_rng(5)
    inside, outside = rng.standard_normal(300), 1.0 + rng.standard_normal(200)
    one = inside + 0.3 * rng.standard_normal(300), outside + 0.3 * rng.standard_normal(200)
    two = inside + 0.6 * rng.standard_normal(300), outside + 0.6 * rng.standard_normal(200)
    found = auroc_gap(one, two)
    assert found.value == pytest.approx(auroc(*one).value - auroc(*two).value, abs=1e-12)
    assert auroc_gap(two, one).value == pytest.approx(-found.value, abs=1e-12)
    same = auroc_gap(one, one)
    assert same.value == same.half_width == 0.0
    values = []
    for _ in range(1_500):
        i, o = rng.integers(300, size=300), rng.integers(200, size=200)
        values.append(auroc(one[0][i], one[1][o]).value - auroc(two[0][i], two[1][o]).value)
    assert found.half_width == pytest.approx(1.96 * np.std(values), rel=0.08)
    assert found.half_width < 0.6 * math.hypot(auroc(*one).half_width, auroc(*two).half_width)
