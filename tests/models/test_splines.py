"""Rational-quadratic splines: what their definition says, and gradients that stay finite outside the interval."""

import importlib.util
import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.models.flow.splines import inverse_spline, spline

BOUND, BINS = 3.0, 6


def parameters(num: int, dtype: torch.dtype = torch.float64, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(num, 3 * BINS - 1, 2, generator=generator, dtype=dtype)


class Knots(NamedTuple):
    """x, y, slope: (N, K + 1, 2), by the definition: shares of at least 1e-3 of the interval, slopes of at least 1e-3."""

    x: Tensor
    y: Tensor
    slope: Tensor

    @classmethod
    def of(cls, h: Tensor) -> "Knots":
        widths, heights, slopes = h.split([BINS, BINS, BINS - 1], 1)
        shares = (1e-3 + (1.0 - 1e-3 * BINS) * torch.softmax(sizes, 1) for sizes in (widths, heights))
        x, y = (BOUND * (2.0 * F.pad(share.cumsum(1), (0, 0, 1, 0)) - 1.0) for share in shares)
        slope = 1e-3 + F.softplus(slopes + math.log(math.expm1(1.0 - 1e-3)))
        return cls(x, y, F.pad(slope, (0, 0, 1, 1), value=1.0))


def test_knots_are_hit_with_their_slopes() -> None:
    h = parameters(5)
    knots = Knots.of(h)
    for index in range(BINS + 1):
        y, log_slope = spline(knots.x[:, index], h, BOUND)
        torch.testing.assert_close(y, knots.y[:, index])
        torch.testing.assert_close(log_slope.exp(), knots.slope[:, index])


def test_values_and_slopes_are_continuous_at_knots_and_reach_the_slope_of_the_tails() -> None:
    h, step = parameters(5), 1e-9
    knots = Knots.of(h)
    for index in range(BINS + 1):
        sides = [spline(knots.x[:, index] + sign * step, h, BOUND) for sign in (-1, 1)]
        torch.testing.assert_close(sides[0][0], sides[1][0], atol=1e-5, rtol=0.0)
        torch.testing.assert_close(sides[0][1], sides[1][1], atol=1e-4, rtol=0.0)
    for edge in (-BOUND, BOUND):
        y, log_slope = spline(torch.full((5, 2), edge * (1 - 1e-12), dtype=torch.float64), h, BOUND)
        torch.testing.assert_close(log_slope, torch.zeros_like(y), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_parameters_are_the_identity(dtype: torch.dtype) -> None:
    x = torch.linspace(-5.0, 5.0, 301, dtype=dtype)[:, None].expand(-1, 2)
    y, log_slope = spline(x, torch.zeros(301, 3 * BINS - 1, 2, dtype=dtype), BOUND)
    torch.testing.assert_close(y, x, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_slope_against_autograd_inverse_and_monotonicity(scale: float) -> None:
    x = torch.linspace(-4.0, 4.0, 801, dtype=torch.float64)[:, None].repeat(1, 2).requires_grad_()
    h = parameters(1, scale=scale).expand(801, -1, -1)
    y, log_slope = spline(x, h, BOUND)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope, slope.log(), atol=1e-9, rtol=0.0)
    assert (y.diff(dim=0) > 0).all()
    torch.testing.assert_close(inverse_spline(y, h, BOUND), x, atol=1e-9, rtol=0.0)
    outside = x.abs() >= BOUND
    assert torch.equal(y[outside], x[outside])


def test_inverse_in_float32_has_no_nan_and_inverts_even_for_steep_bins() -> None:
    """Slopes from 1e-3 to 2e3, where the discriminant is lost in rounding: without Newton's step this fails."""
    h = parameters(20_000, torch.float32)
    generator = torch.Generator().manual_seed(1)
    y = (2.0 * torch.rand(20_000, 2, generator=generator) - 1.0) * 1.1 * BOUND
    x = inverse_spline(y, h, BOUND)
    assert torch.isfinite(x).all()
    again, log_slope = spline(x, h, BOUND)
    assert ((again - y).abs() <= 1e-5 + 1e-5 * log_slope.exp()).all()  # one rounding of x moves y by its slope


def test_gradients_are_finite_outside_the_interval_on_knots_and_in_the_inverse() -> None:
    h = parameters(7, torch.float32).requires_grad_()
    x = torch.tensor([-1e30, -50.0, -BOUND, 0.0, BOUND, 50.0, 1e30])[:, None].repeat(1, 2).requires_grad_()
    for value in (*spline(x, h, BOUND), inverse_spline(x, h, BOUND)):
        gradients = torch.autograd.grad(value.sum(), (x, h), retain_graph=True)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
    (own,) = torch.autograd.grad(spline(x, h, BOUND)[0].sum(), x)
    assert (own[[0, 1, 5, 6]] == 1.0).all()


def test_gradients_by_parameters_against_differences() -> None:
    h, x = (
        parameters(4).requires_grad_(),
        torch.tensor([-2.5, -0.4, 0.7, 2.9], dtype=torch.float64)[:, None].repeat(1, 2),
    )
    assert torch.autograd.gradcheck(lambda h: (*spline(x, h, BOUND), inverse_spline(x, h, BOUND)), (h,))


def test_by_hand() -> None:
    """Two bins of [-1, 1] with knots (-1, -1), (0, 1/3), (1, 1) and slopes 1, 2, 1, in the middle of the first bin (eq. 4)."""
    least, widths = 1e-3, torch.zeros(2)
    share = (2.0 / 3.0 - least) / (1.0 - 2.0 * least)
    heights = torch.tensor([math.log(share), math.log(1.0 - share)])
    slope = torch.tensor([math.log(math.expm1(2.0 - least)) - math.log(math.expm1(1.0 - least))])
    h = torch.cat([widths, heights, slope]).double()[None, :, None]
    y, log_slope = spline(torch.tensor([[-0.5]], dtype=torch.float64), h, 1.0)
    mean = 4.0 / 3.0
    bottom = mean + (1.0 + 2.0 - 2.0 * mean) / 4.0
    assert y.item() == pytest.approx(-1.0 + mean * (mean / 4.0 + 1.0 / 4.0) / bottom, abs=1e-6)
    expected = mean**2 * (2.0 / 4.0 + 2.0 * mean / 4.0 + 1.0 / 4.0) / bottom**2
    assert log_slope.exp().item() == pytest.approx(expected, abs=1e-6)


NFLOWS = importlib.util.find_spec("nflows") is not None
ZUKO = importlib.util.find_spec("zuko") is not None


@pytest.mark.skipif(not NFLOWS, reason="nflows, another implementation, is not installed")
def test_equals_nflows() -> None:
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

    h = parameters(300)
    x = torch.linspace(-4.0, 4.0, 300, dtype=torch.float64)[:, None].repeat(1, 2)
    widths, heights, slopes = h.movedim(1, -1).split([BINS, BINS, BINS - 1], -1)
    theirs = unconstrained_rational_quadratic_spline(
        x, widths, heights, slopes + math.log(math.expm1(1 - 1e-3)), tail_bound=BOUND
    )
    for own, other in zip(spline(x, h, BOUND), theirs, strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=0.0)


@pytest.mark.skipif(not ZUKO, reason="zuko, another implementation, is not installed")
def test_equals_zuko() -> None:
    """On the same knots; zuko has its own map from parameters to knots."""
    from zuko.transforms import MonotonicRQSTransform

    h = parameters(300)
    x = torch.linspace(-4.0, 4.0, 300, dtype=torch.float64)[:, None].repeat(1, 2)
    theirs = MonotonicRQSTransform(
        *[torch.zeros(300, 2, n, dtype=torch.float64) for n in (BINS, BINS, BINS - 1)], bound=BOUND
    )
    theirs.horizontal, theirs.vertical, theirs.derivatives = (part.movedim(1, -1) for part in Knots.of(h))
    for own, other in zip(spline(x, h, BOUND), theirs.call_and_ladj(x), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=0.0)
