"""Scores of ensembles against closed forms of Gaussians, and against plain double sums."""

import math

import pytest
import torch

from genarena.statistics import ensembles


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("num", [2, 5, 8])
def test_crps_is_the_double_sum(num: int) -> None:
    draws, truth = normal(num, 7, 3), normal(7, 3, seed=1)
    pairs = (draws[:, None] - draws[None]).abs().sum((0, 1)) / (2 * num * (num - 1))
    assert torch.allclose(ensembles.crps(draws, truth), (draws - truth).abs().mean(0) - pairs, atol=1e-12)


@pytest.mark.parametrize("num", [2, 8, 50])
def test_crps_of_a_normal_has_its_closed_form_for_any_number_of_draws(num: int) -> None:
    """N(0, 1) against y ~ N(0, 1): 2 E phi(y) + E y (2 Phi(y) - 1) - 1 / sqrt(pi) = 1 / sqrt(pi)."""
    found = ensembles.crps(normal(num, 200_000 // num), normal(200_000 // num, seed=1))
    assert abs(found.mean() - 1 / math.sqrt(math.pi)) < 3 * found.std() / len(found) ** 0.5


def test_the_energy_score_of_single_numbers_is_the_crps() -> None:
    draws, truth = normal(5, 9, 1), normal(9, 1, seed=1)
    assert torch.allclose(ensembles.energy_score(draws, truth), ensembles.crps(draws, truth)[:, 0], atol=1e-12)


def test_the_energy_score_counts_what_is_asked() -> None:
    draws, truth = normal(5, 9, 4), normal(9, 4, seed=1)
    counts = torch.tensor([True, False, True, False]).expand(9, 4).clone()
    part = ensembles.energy_score(draws[..., [0, 2]], truth[:, [0, 2]])
    assert torch.allclose(ensembles.energy_score(draws, truth, counts), part, atol=1e-12)
    counts[3] = False
    assert ensembles.energy_score(draws, truth, counts).isnan().nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize(("spread", "wanted"), [(1.0, 1.0), (0.5, (0.25 * 1.1 / (1 + 0.025)) ** 0.5)])
def test_spread_and_skill_of_a_normal(spread: float, wanted: float) -> None:
    found = ensembles.spread_skill(spread * normal(10, 50_000), normal(50_000, seed=1))
    assert found == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("num", [3, 8, 20])
def test_coverage_of_a_normal_is_the_level(num: int) -> None:
    found = ensembles.coverage(normal(num, 40_000), normal(40_000, seed=1)).double().mean().item()
    assert abs(found - 0.9) < 3 * (0.09 / 40_000) ** 0.5
    assert ensembles.coverage(torch.zeros(3, 2), torch.tensor([0.0, 0.1])).tolist() == [True, False]
