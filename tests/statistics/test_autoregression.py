"""Gaussian processes: the recursion against the covariance matrix, and samples that have it."""

import math

import pytest
import torch

from genarena.statistics import autoregression
from genarena.statistics.autoregression import autocorrelation_of, every_order, levinson

COEFFICIENTS = torch.tensor([1.2, -0.8, 0.1], dtype=torch.float64)
LAGS = autocorrelation_of(COEFFICIENTS, 4.0, 64)


def toeplitz(lags: torch.Tensor, size: int) -> torch.Tensor:
    return lags[(torch.arange(size)[:, None] - torch.arange(size)).abs()]


def test_an_autocorrelation_of_order_one() -> None:
    lags = autocorrelation_of(torch.tensor([0.9], dtype=torch.float64), 2.0, 5)
    assert torch.allclose(lags, 2.0 * 0.9 ** torch.arange(5, dtype=torch.float64), atol=1e-12)


def test_the_recursion_finds_the_coefficients_and_solves_the_normal_equations() -> None:
    coefficients, variances = every_order(LAGS[:6])
    assert torch.allclose(coefficients[3, :3], COEFFICIENTS, atol=1e-10)
    assert torch.allclose(coefficients[5], torch.cat([COEFFICIENTS, torch.zeros(2)]), atol=1e-10), "no order is higher"
    for order in range(1, 6):
        solved = torch.linalg.solve(toeplitz(LAGS, order), LAGS[1 : order + 1])
        assert torch.allclose(coefficients[order, :order], solved, atol=1e-10)
        assert variances[order].item() == pytest.approx((LAGS[0] - solved @ LAGS[1 : order + 1]).item(), rel=1e-10)
    assert variances[0] == LAGS[0]
    highest = levinson(LAGS[:6])
    assert torch.equal(highest[0], coefficients[5]) and highest[1] == variances[5]


def test_it_takes_many_processes_at_once() -> None:
    other = autocorrelation_of(torch.tensor([-0.5], dtype=torch.float64), 1.0, 4)
    together = levinson(torch.stack([LAGS[:4], other]))
    for row, lags in enumerate((LAGS[:4], other)):
        for found, wanted in zip(together, levinson(lags), strict=True):
            assert torch.allclose(found[row], wanted)


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_the_density_is_that_of_the_covariance_matrix(length: int) -> None:
    x = 3.0 * torch.randn(5, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = toeplitz(LAGS, length)
    wanted = torch.distributions.MultivariateNormal(torch.zeros(length).double(), covariance).log_prob(x)
    assert torch.allclose(autoregression.log_prob(x, LAGS[:4]), wanted, atol=1e-9)


def test_white_noise_has_the_entropy_of_a_normal_distribution() -> None:
    x = torch.randn(1, 100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nats = -autoregression.log_prob(x, torch.tensor([1.0], dtype=torch.float64)).item() / x.numel()
    assert nats == pytest.approx(0.5 * math.log(2.0 * math.pi * math.e), abs=3 * math.sqrt(0.5 / x.numel()))


def test_samples_are_the_noise_through_the_factor_of_the_covariance() -> None:
    noise = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factor = torch.linalg.cholesky(toeplitz(LAGS, 50))
    assert torch.allclose(autoregression.sample(noise, LAGS[:4]), noise @ factor.T, atol=1e-9)
    assert torch.allclose(autoregression.sample(noise[:, :2], LAGS[:4]), noise[:, :2] @ factor[:2, :2].T, atol=1e-9)


def test_what_is_no_autocorrelation_is_refused() -> None:
    for recursion in (levinson, every_order):
        with pytest.raises(ValueError, match="no autocorrelation"):
            recursion(torch.tensor([1.0, 1.1, 1.0]))
