"""Information of codes on factors: what perfect and useless codes have, and the cases that divide by zero elsewhere."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from genarena.statistics.disentanglement.information import binned, entropies, mig, modularity, mutual_information
from genarena.statistics.disentanglement.table import CodeTable
from tests.statistics.disentanglement.codes import DSPRITES, SHAPES3D, SMALL, factors_of, noise, rotation, sampled


def of_grid(codes: np.ndarray, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    factors = CodeTable(codes, sizes).factors
    return mutual_information(codes, factors), entropies(factors)


def test_the_perfect_code_has_no_perfect_mig_in_twenty_bins() -> None:
    """40 and 32 values do not fit into 20 bins; exact values of the whole grid of dSprites."""
    information, of_factors = of_grid(factors_of(DSPRITES), DSPRITES)
    found = mig(information, of_factors)
    counts = np.bincount((np.arange(32) * 20 // 31).clip(max=19), minlength=20) / 32  # values in each bin
    exact = -(counts * np.log(counts)).sum() / np.log(32)
    assert found == pytest.approx([1.0, 1.0, np.log(20) / np.log(40), exact, exact], abs=1e-12)
    assert found.mean() == pytest.approx(0.90242, abs=5e-6)
    assert modularity(information) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("sizes", [SHAPES3D, (3, 6, 20, 16, 16)])
def test_up_to_twenty_values_have_a_bin_each(sizes: tuple[int, ...]) -> None:
    assert mig(*of_grid(factors_of(sizes), sizes)) == pytest.approx(np.ones(len(sizes)), abs=1e-12)


def test_factors_that_come_twice_have_no_gap() -> None:
    information, of_factors = of_grid(np.hstack([factors_of(SMALL)] * 2), SMALL)
    assert mig(information, of_factors) == pytest.approx(np.zeros(3), abs=1e-12)
    assert modularity(information) == pytest.approx(1.0, abs=1e-12)


def test_the_measured_values_of_useless_codes() -> None:
    """10,000 rows; disentanglement_lib's values, with three standard deviations."""
    codes, factors = sampled(np.hstack([factors_of(DSPRITES), noise(np.prod(DSPRITES), 5)]), DSPRITES, 10_000)
    information = mutual_information(codes, factors)
    assert mig(information, entropies(factors)).mean() == pytest.approx(0.895, abs=0.003)
    assert modularity(information) == pytest.approx(0.828, abs=0.03)
    codes, factors = sampled(noise(np.prod(DSPRITES), 10), DSPRITES, 10_000)
    information = mutual_information(codes, factors)
    assert mig(information, entropies(factors)).mean() < 0.001
    assert modularity(information) == pytest.approx(0.66, abs=0.04)


def test_modularity_hardly_sees_a_rotation_that_mig_sees() -> None:
    information, of_factors = of_grid(factors_of(DSPRITES) @ rotation(5), DSPRITES)
    assert mig(information, of_factors).mean() < 0.3
    assert modularity(information) > 0.75


def test_exact_small_cases() -> None:
    assert modularity(np.diag([5.0] * 5)) == pytest.approx(1.0, abs=1e-12)
    assert modularity(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])) == pytest.approx(2 / 3, abs=1e-12)
    assert modularity(np.hstack([np.eye(5)] * 2)) == pytest.approx(1 - 1 / 9, abs=1e-12)
    assert modularity(np.zeros((3, 2))) == 0.0
    assert mig(np.array([[0.3, 0.0], [0.1, 0.5]]), np.array([0.5, 1.0])) == pytest.approx([0.4, 0.5], abs=1e-12)
    assert mig(np.array([[0.25]]), np.array([0.5])) == pytest.approx([0.5], abs=1e-12)  # a single code
    assert np.isnan(mig(np.zeros((2, 1)), np.zeros(1))).all()  # a factor with one value
    with pytest.raises(ValueError, match="modularity needs two factors, and there are 1"):
        modularity(np.ones((3, 1)))


def test_a_code_that_does_not_move_knows_nothing() -> None:
    information, of_factors = of_grid(np.hstack([np.full((60, 1), 0.1), factors_of(SMALL)]), SMALL)
    assert information[0].tolist() == [0.0, 0.0, 0.0]
    assert mig(information, of_factors) == pytest.approx(np.ones(3), abs=1e-12)
    assert modularity(information) == pytest.approx(0.75, abs=1e-12)


def test_bins_and_information_are_those_of_numpy_and_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        codes, factors = generator.normal(size=(300, 4)) ** 3, generator.integers(6, size=(300, 3))
        found = mutual_information(codes, factors)
        for j in range(4):
            edges = np.histogram(codes[:, j], 20)[1]
            place = np.digitize(codes[:, j], edges[:-1]) - 1
            assert (binned(codes)[:, j] == place).all()
            for k in range(3):
                assert found[j, k] == pytest.approx(mutual_info_score(factors[:, k], place), abs=1e-12)


def test_tables_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes have shape \(59, 2\): expected \(60, D\)"):
        CodeTable(np.zeros((59, 2)), SMALL)
    with pytest.raises(ValueError, match="expected factors of at least 2 values"):
        CodeTable(np.zeros((60, 2)), (1, *SMALL))
    with pytest.raises(ValueError, match="1 of 60 codes is not finite"):
        CodeTable(np.where(np.arange(60) == 7, np.nan, 0.0)[:, None], SMALL)
