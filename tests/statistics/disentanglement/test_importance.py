"""DCI: the exact small cases, disentanglement_lib's formulas, and trees on codes that are known."""

import numpy as np
import pytest
from scipy.stats import entropy

from genarena.statistics.disentanglement.importance import completeness, disentanglement, predicted
from tests.statistics.disentanglement.codes import factors_of, noise, rotation, sampled


def both(importances: np.ndarray) -> tuple[float, float]:
    return disentanglement(importances), completeness(importances)


def test_exact_small_cases() -> None:
    twice = 1.0 - np.log(2) / np.log(10)
    assert both(np.diag([5.0] * 5)) == pytest.approx((1.0, 1.0), abs=1e-12)
    assert both(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])) == pytest.approx((1.0, 1.0), abs=1e-12)
    assert both(np.vstack([np.eye(5)] * 2)) == pytest.approx((1.0, twice), abs=1e-12)
    assert both(np.hstack([np.eye(5)] * 2)) == pytest.approx((twice, 1.0), abs=1e-12)
    assert both(np.zeros((4, 3))) == (0.0, 0.0)
    assert both(np.ones((4, 3))) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert both(np.array([[0.5, 0.5]])) == pytest.approx((0.0, 1.0), abs=1e-12)  # a single code
    assert both(np.array([[0.5], [0.5]])) == pytest.approx((1.0, 0.0), abs=1e-12)  # a single factor


def test_the_formulas_of_disentanglement_lib() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        importances = generator.exponential(size=(7, 4)) * (generator.random((7, 4)) < 0.6)
        total = importances.sum()
        codes = 1.0 - entropy(importances.T + 1e-11, base=4)
        factors = 1.0 - entropy(importances + 1e-11, base=7)
        assert disentanglement(importances) == pytest.approx((codes * importances.sum(1) / total).sum(), abs=1e-8)
        assert completeness(importances) == pytest.approx((factors * importances.sum(0) / total).sum(), abs=1e-8)


def test_trees_find_factors_and_find_nothing_in_noise() -> None:
    sizes = (3, 3, 4)
    train, test = (sampled(factors_of(sizes), sizes, 200, seed) for seed in (3, 4))
    found = predicted(
        *((np.hstack([codes, noise(200, 2, seed)]), rows) for seed, (codes, rows) in enumerate((train, test)))
    )
    assert both(found.importances) == pytest.approx((1.0, 1.0), abs=0.01)
    assert found.accuracies.tolist() == [1.0] * 3
    train = noise(200, 4), train[1]  # a draw for each row: nothing to remember
    found = predicted(train, (noise(200, 4, seed=5), test[1]))
    assert max(both(found.importances)) < 0.1
    chance = np.array([1 / size for size in sizes])
    assert (np.abs(found.accuracies - chance) < 3.5 * np.sqrt(chance * (1 - chance) / 200)).all()


def test_a_rotation_is_seen() -> None:
    sizes = (3, 3, 3)
    codes = factors_of(sizes) @ rotation(3)
    found = predicted(sampled(codes, sizes, 150), sampled(codes, sizes, 150, seed=4))
    assert max(both(found.importances)) < 0.7


def test_a_factor_with_one_value_has_no_importances() -> None:
    codes = noise(50, 2)
    factors = np.stack([np.zeros(50, int), (codes[:, 0] > 0).astype(int)], 1)
    found = predicted((codes, factors), (codes, factors))
    assert found.importances[:, 0].tolist() == [0.0, 0.0] and found.accuracies.tolist() == [1.0, 1.0]
    assert both(found.importances) == pytest.approx((1.0, 1.0), abs=1e-9)
