"""Balanced accuracy of attributes: by hand, at chance, and its standard error against repetitions."""

import math

import pytest
import torch

from genarena.statistics.balanced_accuracy import FEWEST, balanced_accuracy


def test_by_hand() -> None:
    """Attribute 0: 30 of 40 with it are right, 100 of 160 without; attribute 1: all; attribute 2 is too rare to count."""
    asked = torch.zeros(200, 3)
    asked[:40, 0], asked[:100, 1], asked[: FEWEST - 1, 2] = 1, 1, 1
    shown = asked.clone()
    shown[:10, 0], shown[40:100, 0] = 0, 1
    shown[:, 2] = 1 - asked[:, 2]
    found = balanced_accuracy(shown, asked)
    assert found.value == pytest.approx((0.5 * (30 / 40 + 100 / 160) + 1.0) / 2.0, abs=1e-12)
    assert found.attributes == 2
    error = 0.25 * math.sqrt(0.75 * 0.25 / 40 + 0.625 * 0.375 / 160)  # of two independent shares
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert math.isnan(balanced_accuracy(shown[:, 2:], asked[:, 2:]).value)


def test_answers_that_do_not_depend_on_what_is_asked_have_a_half() -> None:
    generator = torch.Generator().manual_seed(0)
    asked = torch.rand(20_000, 4, generator=generator) < torch.tensor([0.5, 0.2, 0.05, 0.9])
    for often in (0.0, 0.1, 1.0):
        shown = torch.rand(20_000, 4, generator=generator) < often
        assert balanced_accuracy(shown, asked).value == pytest.approx(0.5, abs=0.01)


def test_the_standard_error_is_the_spread_of_repetitions() -> None:
    """With answers to several attributes that are wrong together."""
    generator = torch.Generator().manual_seed(1)
    asked = torch.rand(400, 3, generator=generator) < torch.tensor([0.5, 0.2, 0.7])
    found = []
    for _ in range(400):
        wrong = torch.rand(400, 1, generator=generator) < 0.3
        found.append(balanced_accuracy(asked ^ wrong, asked))
    spread = torch.tensor([each.value for each in found]).std().item()
    mean = sum(each.standard_error for each in found) / len(found)
    assert mean == pytest.approx(spread, rel=3.0 / math.sqrt(2 * 400))
