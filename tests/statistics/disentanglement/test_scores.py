"""SAP, IRS, explicitness, the scores by votes and the total correlation on codes that are known."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from genarena.statistics.disentanglement.explicitness import explicitness
from genarena.statistics.disentanglement.robustness import deviations, irs
from genarena.statistics.disentanglement.separability import accuracies, gaps, squared_correlations
from genarena.statistics.disentanglement.table import CodeTable
from genarena.statistics.disentanglement.total_correlation import (
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    information_between_codes,
)
from genarena.statistics.disentanglement.voting import active, beta_vae_score, factor_vae_score
from tests.statistics.disentanglement.codes import DSPRITES, SMALL, factors_of, noise, rotation, sampled

NUM = np.prod(DSPRITES)


def votes(codes: np.ndarray, sizes: tuple[int, ...] = DSPRITES) -> tuple[float, float]:
    table = CodeTable(codes, sizes)
    return tuple(score(table, np.random.default_rng(0), 1_000, 500) for score in (factor_vae_score, beta_vae_score))


def test_continuous_sap_of_the_factors_and_of_a_rotation_is_exact() -> None:
    """The squared correlations of rotated factors are the squared numbers of the rotation."""
    codes, factors = factors_of(SMALL), CodeTable(factors_of(SMALL), SMALL).factors
    assert gaps(squared_correlations(codes, factors)) == pytest.approx(np.ones(3), abs=1e-12)
    turned = squared_correlations(codes @ rotation(3), factors)
    assert turned == pytest.approx(np.square(rotation(3)).T, abs=1e-12)
    ordered = np.sort(np.square(rotation(3)), 1)
    assert gaps(turned) == pytest.approx(ordered[:, -1] - ordered[:, -2], abs=1e-12)
    assert gaps(squared_correlations(np.hstack([codes, codes]), factors)) == pytest.approx(np.zeros(3), abs=1e-12)
    dead = squared_correlations(np.hstack([codes, np.ones((60, 1))]), np.hstack([factors, np.zeros((60, 1), int)]))
    assert dead[3].tolist() == [0.0] * 4 and dead[:, 3].tolist() == [0.0] * 4
    assert gaps(np.array([[0.75, 0.5]])).tolist() == [0.75, 0.5]  # a single code


def test_a_line_does_not_tell_many_values_apart() -> None:
    """SAP of the perfect code is .25 on the sizes of dSprites, and 0 where each factor comes twice."""
    codes = factors_of(DSPRITES)
    found = accuracies(sampled(codes, DSPRITES, 10_000), sampled(codes, DSPRITES, 5_000, seed=4))
    assert gaps(found).mean() == pytest.approx(0.25, abs=0.02)
    twice = np.hstack([factors_of(SMALL)] * 2)
    assert gaps(accuracies(sampled(twice, SMALL, 500), sampled(twice, SMALL, 500))).tolist() == [0.0] * 3


def test_irs_is_that_of_its_definition() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        codes, factors = generator.normal(size=(200, 3)), generator.integers(5, size=(200, 2))
        found = deviations(codes, factors)
        for j, code in enumerate(codes.T):
            for k, factor in enumerate(factors.T):
                groups = [code[factor == value] for value in range(5)]
                far = np.mean([np.percentile(np.abs(group - group.mean()), 99) for group in groups])
                assert found[j, k] == pytest.approx(1.0 - far / np.abs(code - code.mean()).max(), abs=1e-12)
        weights = np.abs(codes - codes.mean(0)).max(0)
        assert irs(codes, factors) == pytest.approx((found.max(1) * weights).sum() / weights.sum(), abs=1e-12)


def test_irs_of_perfect_and_useless_codes() -> None:
    table = CodeTable(factors_of(SMALL), SMALL)
    assert irs(table.codes, table.factors) == pytest.approx(1.0, abs=1e-12)
    assert irs(np.zeros((60, 2)), table.factors) == 0.0
    with_dead = np.hstack([table.codes, np.ones((60, 1))])
    assert irs(with_dead, table.factors) == pytest.approx(1.0, abs=1e-12)
    wide = CodeTable(factors_of((40, 2)), (40, 2))  # two values in each bin, half a step from their mean
    assert deviations(wide.codes, wide.factors)[0, 0] == pytest.approx(1.0 - 0.5 / 19.5, abs=1e-12)
    codes, factors = sampled(factors_of(DSPRITES), DSPRITES, 10_000)
    assert irs(codes, factors) == pytest.approx(0.987, abs=0.002)
    assert irs(np.hstack([codes, noise(10_000, 5)]), factors) == pytest.approx(0.55, abs=0.06)
    assert irs(noise(10_000, 10), factors) == pytest.approx(0.36, abs=0.05)


def test_votes_see_noise_but_hardly_a_rotation() -> None:
    codes = factors_of(DSPRITES)
    assert votes(codes) == (1.0, 1.0)
    assert votes(np.hstack([codes, 0.01 * noise(NUM, 5)])) == (1.0, 1.0)
    assert votes(np.hstack([factors_of(SMALL)] * 2), SMALL) == (1.0, 1.0)
    assert min(votes(codes @ rotation(5))) > 0.7
    useless = votes(noise(NUM, 10))
    assert useless == pytest.approx((0.2, 0.2), abs=3.5 * np.sqrt(0.2 * 0.8 / 500))
    assert votes(np.zeros((60, 2)), SMALL)[0] == 0.0


def test_a_code_that_hardly_moves_does_not_vote() -> None:
    """Its variance relative to itself is the smallest there is when the first factor is fixed."""
    small = 0.01 * factors_of(SMALL)[:, :1]
    codes = np.hstack([small, factors_of(SMALL)[:, 1:]])
    assert active(codes).tolist() == [False, True, True]
    assert votes(codes, SMALL)[0] == pytest.approx(2 / 3, abs=3.5 * np.sqrt(2 / 9 / 500))
    assert votes(codes * [[100.0, 1.0, 1.0]], SMALL)[0] == 1.0


def test_explicitness_does_not_see_a_rotation() -> None:
    codes = factors_of(SMALL)
    turned = codes @ rotation(3)
    for each in (codes, turned):
        assert explicitness(sampled(each, SMALL, 500), sampled(each, SMALL, 500, seed=4)).min() > 0.95
    train, test = sampled(codes, SMALL, 500), sampled(codes, SMALL, 500, seed=4)
    useless = explicitness((noise(500, 3), train[1]), (noise(500, 3, seed=5), test[1]))
    assert useless == pytest.approx([0.5] * 3, abs=0.06)
    dead = explicitness((np.ones((500, 1)), train[1]), (np.ones((500, 1)), test[1]))
    assert dead == pytest.approx([0.5] * 3, abs=1e-12)
    assert np.isnan(explicitness((noise(9, 2), np.zeros((9, 1), int)), (noise(9, 2), np.zeros((9, 1), int)))).all()


def test_total_correlation_of_a_known_gaussian() -> None:
    root = np.linalg.cholesky([[1.0, 0.9], [0.9, 1.0]])
    z = noise(400, 2)
    z = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T)).T)  # covariance I, exactly
    assert gaussian_total_correlation(z @ root.T) == pytest.approx(-0.5 * np.log(1 - 0.81), abs=1e-12)
    assert -0.5 * np.log(1 - 0.81) == pytest.approx(0.8304, abs=5e-5)
    assert gaussian_total_correlation(factors_of(SMALL)) == pytest.approx(0.0, abs=1e-12)
    assert gaussian_total_correlation(np.hstack([z[:, :1], np.ones((400, 1))])) == 0.0
    assert gaussian_total_correlation(np.hstack([z, z[:, :1]])) > 15.0


def test_wasserstein_correlation_of_a_known_gaussian() -> None:
    """D = I: the eigenvalues are 1 - r and 1 + r. In general: the matrix root of disentanglement_lib."""
    z = noise(400, 2)
    z = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T)).T)  # covariance I, exactly
    root = np.linalg.cholesky([[1.0, 0.9], [0.9, 1.0]])
    exact = 2.0 - np.sqrt(0.1) - np.sqrt(1.9)
    assert gaussian_wasserstein_correlation(z @ root.T) == pytest.approx(exact, abs=1e-12)
    assert gaussian_wasserstein_correlation(5.0 * z @ root.T) == pytest.approx(exact, abs=1e-12)
    codes = noise(400, 5) @ np.random.default_rng(5).normal(size=(5, 5))
    covariance = np.cov(codes.T)
    half = sqrtm(covariance * np.diag(covariance)[:, None])
    wanted = (2.0 * np.trace(covariance) - 2.0 * np.trace(half).real) / np.trace(covariance)
    assert gaussian_wasserstein_correlation(codes) == pytest.approx(wanted, abs=1e-9)
    assert gaussian_wasserstein_correlation(factors_of(SMALL)) == pytest.approx(0.0, abs=1e-12)
    assert gaussian_wasserstein_correlation(np.ones((9, 3))) == gaussian_wasserstein_correlation(noise(9, 1)) == 0.0


def test_information_between_codes_that_are_known() -> None:
    """Factors know nothing of each other; of (v_1, v_2, v_1), one pair of three shares H(v_1) = log 3."""
    codes = factors_of(SMALL)
    assert information_between_codes(codes) == pytest.approx(0.0, abs=1e-12)
    assert information_between_codes(codes[:, [0, 1, 0]]) == pytest.approx(np.log(3.0) / 3.0, abs=1e-12)
    assert information_between_codes(np.hstack([codes, np.ones((60, 1))])) == pytest.approx(0.0, abs=1e-12)
    assert information_between_codes(codes[:, :1]) == 0.0
