"""The two-dimensional densities: what is drawn has the density that is stated."""

import math

import pytest
import torch

from genarena.data.toy2d import DENSITIES, DISTRIBUTIONS, Toy2D
from genarena.spec import DataSpec

STEP = 0.03125  # of the grid: half of the smallest standard deviation, where sums are integrals to rounding; divides 1


def grid() -> torch.Tensor:
    axis = torch.arange(-3.5, 3.5, STEP, dtype=torch.float64) + 0.5 * STEP
    return torch.cartesian_prod(axis, axis)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_density_integrates_to_one_and_is_that_of_the_draws(name: str) -> None:
    """E[log p] over draws is minus the entropy; the share of draws in each square of a board is the density's (chi-square)."""
    places = grid()
    density = DENSITIES[name](places).exp()
    mass = density * STEP**2
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-6)
    entropy = torch.special.entr(density).sum().item() * STEP**2
    draws = DISTRIBUTIONS[name](8_000, torch.Generator().manual_seed(7))
    values = -DENSITIES[name](draws)
    assert torch.isfinite(values).all()
    assert abs(values.mean().item() - entropy) <= 4.0 * values.std().item() / len(values) ** 0.5 + 1e-9

    def squares(x: torch.Tensor) -> torch.Tensor:
        cells = ((x + 3.5) / 0.5).floor().long().clamp(0, 13)
        return cells[:, 0] * 14 + cells[:, 1]

    expected = torch.zeros(196, dtype=torch.float64).index_add(0, squares(places), mass) * len(draws)
    found = torch.bincount(squares(draws), minlength=196)
    often = expected > 5
    chi_square = ((found - expected).square() / expected)[often].sum().item()
    freedom = int(often.sum())
    assert chi_square < freedom + 5.0 * math.sqrt(2.0 * freedom)


def test_circles_have_the_closed_form() -> None:
    """A circle of radius R plus noise: exp(-(r^2 + R^2) / (2 s^2)) I0(r R / s^2) / (2 pi s^2)."""
    x = 3.0 * torch.rand(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1.5
    r, variance = x.norm(dim=1), 0.08**2
    parts = [
        torch.special.i0e(r * radius / variance).log() - (r - radius).square() / (2.0 * variance)
        for radius in (1.0, 2.0)
    ]
    expected = torch.logaddexp(*parts) - math.log(4.0 * math.pi * variance)
    assert DENSITIES["circles"](x).tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)


def test_checkerboard_is_an_eighth_on_closed_dark_squares() -> None:
    inside = torch.tensor([[-1.5, -1.5], [-1.0, -1.5], [1.5, -0.5], [2.0, 2.0]])
    outside = torch.tensor([[-0.5, -1.5], [2.5, 2.5], [-2.5, -1.5]])
    assert DENSITIES["checkerboard"](inside).tolist() == pytest.approx([-math.log(8.0)] * 4)
    assert DENSITIES["checkerboard"](outside).tolist() == [-math.inf] * 3


def test_every_distribution_has_a_density_and_the_module_uses_its_own() -> None:
    assert DENSITIES.keys() == DISTRIBUTIONS.keys()
    data, x = Toy2D(DataSpec((2,)), distribution="circles"), torch.zeros(1, 2)
    assert data.log_density(x).item() == DENSITIES["circles"](x).item() != DENSITIES["moons"](x).item()
