"""Distances between sets of rows against values that are known."""

import math

import pytest
import torch

from genarena.statistics.tables import energy_distance, sliced_w2


def test_equal_sets_have_no_distance() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    assert abs(energy_distance(x, x.flip(0))) < 1e-12 and sliced_w2(x, x.flip(0)) < 1e-6


def test_known_distances() -> None:
    """Two points, and a shift, whose sliced distance is |shift| / sqrt(D) in the mean over all directions."""
    zero, one = torch.zeros(1, 4), torch.full((1, 4), 3.0)
    assert energy_distance(zero, one) == pytest.approx(2 * 6.0 / 2.0)
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    assert sliced_w2(x, x + torch.tensor([2.0, 0.0, 0.0, 0.0])) == pytest.approx(1.0, rel=0.1)
    wider = torch.randn(4000, 4, generator=torch.Generator().manual_seed(1))
    assert sliced_w2(wider, 2.0 * wider) == pytest.approx(1.0, rel=0.05)
    # 2 E|X - Y| - E|X - X'| - E|Y - Y'| of N(0, 1) and N(0, 4), over sqrt(1): E|N(0, v)| = sqrt(2 v / pi)
    a, b = torch.randn(4000, 1, generator=torch.Generator().manual_seed(2)), 2.0 * wider[:, :1]
    exact = 2 * math.sqrt(10 / math.pi) - math.sqrt(4 / math.pi) - math.sqrt(16 / math.pi)
    assert energy_distance(a, b) == pytest.approx(exact, abs=0.02)
