"""Measures of drawings, on bars whose thickness, slant, width and place are known."""

import pytest
import torch
from torch import Tensor

from genarena.tasks.editing.measures import MEASURES, measured


def bar(width: int = 3, length: int = 20, left: int = 10, top: int = 4, slant: float = 0.0) -> Tensor:
    """An upright bar, each row moved to the right by `slant` pixels per row upwards; edges between pixels are grey."""
    x = torch.zeros(1, 1, 28, 28)
    for row in range(length):
        place = left + slant * (length - 1 - row)
        for column in range(28):
            covered = min(column + 1, place + width) - max(column, place)
            x[0, 0, top + row, column] = min(1.0, max(0.0, covered))
    return 2.0 * x - 1.0


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_thickness_and_width_of_bars(width: int) -> None:
    found = measured("thickness", bar(width)).item()
    assert found == pytest.approx(width * 20 / (width + 20), rel=0.02)
    assert measured("thickness", bar(width).transpose(2, 3)).item() == pytest.approx(found, rel=1e-6)
    assert measured("width", bar(width)).item() == pytest.approx(width, rel=1e-6)
    assert measured("scale", bar(width)).item() == pytest.approx((20 * width) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("slant", [-0.5, 0.0, 0.25, 0.5])
def test_slant_and_place_of_bars(slant: float) -> None:
    x = bar(slant=slant, left=12)
    assert measured("slant", x).item() == pytest.approx(slant, abs=0.01)
    assert measured("x", x).item() == pytest.approx(12 + 1 + slant * 9.5, abs=0.02)
    assert measured("y", x).item() == pytest.approx(4 + 9.5, abs=1e-6)
    colours = x.expand(1, 3, 28, 28)
    for name in MEASURES:
        assert measured(name, colours).item() == pytest.approx(measured(name, x).item(), rel=1e-9)


def test_an_empty_image_has_nothing_to_measure() -> None:
    for name in MEASURES:
        assert measured(name, torch.full((2, 1, 8, 8), -1.0)).tolist() == [0.0, 0.0], name
