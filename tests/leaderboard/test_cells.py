"""What a cell says about its number: standard error, both values, or interval; and with how many digits."""

import math

import pytest

from genarena.leaderboard.cells import cell
from genarena.leaderboard.numbers import decimals, fixed, fixed_error, with_interval
from genarena.leaderboard.task_lines import TaskLine
from tests.leaderboard.simulations import make_lines


def texts(*values: list[float], errors: float | None = None, **record: object) -> list[str]:
    return [line.cells["fd"].text for line in make_lines(values, errors, **record)]


def test_one_seed_has_the_standard_error() -> None:
    (line,) = make_lines([[30.4]], errors=0.9)
    made = line.cells["fd"]
    assert made.text == "30.40 ± 0.90 s.e."
    assert (made.half_width, made.interval) == (None, None)
    assert made.over == "standard error of samples and test examples; one training seed"
    assert texts([30.4]) == ["30.40"]


def test_two_seeds_show_both_values_and_no_interval() -> None:
    (line,) = make_lines([[1.15, 2.25]], errors=0.05)
    assert line.cells["fd"].text == "1.150, 2.250"
    assert line.cells["fd"].interval is None and line.cells["fd"].over == ""


def test_three_seeds_join_the_spread_with_the_shared_error() -> None:
    """t(2) * 1 / sqrt(3) = 2.484, and 1.96 standard errors of 1."""
    (line,) = make_lines([[3.0, 4.0, 5.0]], errors=1.0)
    half = math.hypot(4.302653 / math.sqrt(3), 1.959964)
    assert line.cells["fd"].half_width == pytest.approx(half, rel=1e-6)
    assert line.cells["fd"].text == "4.0 ± 3.2"
    assert line.cells["fd"].over == "95% interval over 3 training seeds, samples and test examples"
    assert make_lines([[3.0, 4.0, 5.0]])[0].cells["fd"].over == "95% interval over 3 training seeds"


def test_seeds_that_all_agree_still_have_the_error_of_the_test_examples() -> None:
    """A reference without training: `3.965 ± 0` hid a standard deviation of 1.3 over samples."""
    assert texts([3.965, 3.965, 3.965], errors=1.3) == ["4.0 ± 2.5"]


def test_an_interval_stays_inside_the_range() -> None:
    assert texts([0.91, 0.99, 0.98], range=[0.0, 1.0]) == ["0.96 [0.85, 1.00]"]
    assert texts([88.0, 99.0, 95.0], range=[0.0, 100.0], higher_is_better=None) == ["94 [80, 100]"]
    assert texts([1.0, 2.0, 9.0]) == ["4 [0, 15]"]  # a distance
    assert texts([-1.0, 2.0, 9.0], range=[None, None]) == ["3 ± 13"]


def test_all_cells_of_a_column_have_the_same_decimals() -> None:
    found = texts([1.0, 1.1, 1.2], [114.0, 118.0, 113.0], [3.21, 3.2, 3.22], [7.0])
    assert [len(text.split(" ")[0].partition(".")[2]) for text in found] == [3, 3, 3, 3]
    assert found[0] == "1.100 ± 0.248"


def test_a_share_has_no_digits_that_its_n_cannot_have() -> None:
    assert texts([0.042], n=1000, range=[0.0, 1.0]) == ["0.042"]
    assert texts([87.9], n=1000, range=[0.0, 100.0]) == ["87.9"]


def test_decimals_follow_the_smaller_uncertainties() -> None:
    assert decimals([1.0], [0.0012]) == 4
    assert decimals([500.0], [25.0, 31.0]) == 0
    assert decimals([1.0], [0.02, 0.03, 40.0, 50.0]) == 3
    assert decimals([0.0, 0.0], []) == 0
    assert decimals([2.5, math.inf], [math.inf, 0.0]) == 3


def test_an_uncertainty_never_looks_like_zero() -> None:
    assert [fixed_error(error, 1) for error in (0.003, 0.26, 0.0)] == ["0.003", "0.3", "0"]
    assert [fixed(value, 2) for value in (-0.001, 1234.5, 1e99)] == ["0.00", "1,234.50", fixed(1e99, None)]


def test_a_seed_without_a_standard_error_leaves_it_out() -> None:
    (line,) = make_lines([[1.0, 2.0, 3.0]], errors=0.5)
    del line.runs[1].row["metrics"]["fd"]["standard_error"]
    (again,) = make_lines([[1.0, 2.0, 3.0]])
    assert cell("fd", line.runs).half_width == again.cells["fd"].half_width


def test_a_task_with_two_seeds_shows_both_values() -> None:
    metrics = [{"psnr": {"value": value, "n": 10}} for value in (20.0, 21.5, 22.0)]
    lines = [TaskLine("ddpm", "mean", "dps", "asymptotic", metrics[:num], []) for num in (2, 3)]
    assert lines[0].value("psnr").text == "20.00, 21.50"
    assert lines[1].value("psnr").text == "21.2 ± 2.6"


def test_small_values_keep_their_digits() -> None:
    assert with_interval(1.2e-7, 6e-9) == "1.20e-07 ± 6.0e-09"
    assert with_interval(0.0843, 0.0031) == "0.0843 ± 0.0031" and with_interval(1e-5, 0.0) == "1.00e-05 ± 0"
    assert with_interval(1.0, 5e-7) == "1.00000000 ± 0.00000050"  # an exponent would hide that it is 1
