"""Simulated tables with a known truth keep what docs/statistics.md promises."""

import pytest

from genarena.leaderboard.scales import RATIO
from tests.leaderboard.simulations import PAGE, SPREADS, claims, coverage, found, ranks_claim, ties


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_ten_equal_models_are_ranked_in_at_most_5_of_100_tables(num_seeds: int) -> None:
    """Two seeds are not tested at all, and claim nothing."""
    assert ranks_claim(10, num_seeds, 600) <= (0.05 if num_seeds > 2 else 0.0)


@pytest.mark.parametrize("name", [name for name in SPREADS if name != "equal"])
def test_unequal_spreads_of_five_seeds_claim_no_more(name: str) -> None:
    """Three seeds claim up to 10% there, see the page."""
    assert claims(SPREADS[name](10), 5, 1000) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5


@pytest.mark.parametrize("num_models", [2, 10])
def test_a_gap_of_five_standard_deviations_is_found(num_models: int) -> None:
    assert found(5.0, num_models, 3, 1000) >= 0.95


@pytest.mark.parametrize(
    ("num_seeds", "training", "examples"), [(3, 1.0, 1.0), (3, 0.0, 1.0), (5, 1.0, 1.0), (5, 1.0, 0.0)]
)
def test_cells_hold_the_truth_with_the_same_test_examples_for_all_seeds(
    num_seeds: int, training: float, examples: float
) -> None:
    """From 95% less four standard deviations of 3,000 tables to 98%; the spread over seeds alone reaches 83% in the first."""
    assert 0.934 <= coverage(num_seeds, training, 0.0, examples, 3000) <= 0.98


def test_a_difference_at_the_margin_is_no_tie() -> None:
    assert ties(1.05, 0.01, 2, 3, 1000) <= 0.05
    assert ties(1.05, 0.01, 10, 3, 300) <= 0.05


def test_equal_models_with_little_spread_are_a_tie_and_with_much_are_not() -> None:
    assert ties(1.0, 0.003, 10, 3, 100) >= 0.95
    assert ties(1.0, 0.1, 10, 3, 100) == 0.0


def test_the_page_shows_what_the_command_prints() -> None:
    """Its layout: the numbers are of more tables than a test has time for."""
    page = PAGE.read_text()
    assert "python -m tests.leaderboard.simulations" in page
    for name in SPREADS:
        assert f"| {name} |" in page
    assert f"| {RATIO:g} |" in page
