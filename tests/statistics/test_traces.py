"""Traces, log-determinants and volumes against the Jacobian in full."""

import math

import pytest
import torch
from torch import Tensor

from genarena.statistics import traces

DIMS = 3


def contraction(x: Tensor, weight: Tensor) -> Tensor:
    """Lipschitz constant about 0.6 for the weight of `world`."""
    return torch.sin(x @ weight.T) + 0.1 * x


def world() -> tuple[Tensor, Tensor]:
    """A weight (D, D) of norm 0.5, and points (2, D)."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(DIMS, DIMS, generator=generator, dtype=torch.float64)
    weight = (0.5 * weight / torch.linalg.matrix_norm(weight, 2)).requires_grad_()
    return weight, torch.randn(2, DIMS, generator=generator, dtype=torch.float64, requires_grad=True)


def jacobians(x: Tensor, weight: Tensor) -> Tensor:
    """(N, D, D), differentiable."""
    return torch.diag_embed(torch.cos(x @ weight.T)) @ weight + 0.1 * torch.eye(DIMS, dtype=torch.float64)


def test_the_trace_is_exact_along_axes_and_with_as_many_orthogonal_probes_as_dimensions() -> None:
    weight, x = world()
    value, exact = contraction(x, weight), jacobians(x, weight).diagonal(dim1=1, dim2=2).sum(1)
    for probes in (traces.axes(x), traces.orthogonal(x.detach(), DIMS)):
        torch.testing.assert_close(traces.trace(value, x, probes), exact, atol=1e-12, rtol=0.0)
    found = traces.trace(value, x, traces.axes(x), create_graph=True).sum()
    (slope,) = torch.autograd.grad(found, weight)
    torch.testing.assert_close(slope, torch.autograd.grad(exact.sum(), weight)[0], atol=1e-12, rtol=0.0)


def test_many_probes_are_pulled_at_once_to_the_same_number() -> None:
    x = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    value = torch.sin(x.cumsum(1) * x)
    parts = sum(traces.trace(value, x, probe[None]) for probe in traces.axes(x))
    torch.testing.assert_close(traces.trace(value, x, traces.axes(x)), parts, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("kind", ["signs", "orthogonal"])
def test_random_probes_are_unbiased(kind: str) -> None:
    torch.manual_seed(0)
    weight, x = world()
    many = x.detach()[:1].expand(20_000, -1).clone().requires_grad_()
    probes = traces.signs(many, 2) if kind == "signs" else traces.orthogonal(many.detach(), 2)
    found = traces.trace(contraction(many, weight), many, probes)
    exact = jacobians(x[:1], weight)[0].trace()
    assert found.std() > 0.01
    assert abs(found.mean() - exact) < 3.0 * found.std() / len(found) ** 0.5


def test_the_series_without_chance_is_the_log_determinant() -> None:
    weight, x = world()
    value, exact = contraction(x, weight), torch.linalg.slogdet(torch.eye(DIMS) + jacobians(x, weight)).logabsdet
    found = traces.log_det_series(value, x, traces.axes(x), [1.0] * 60)
    torch.testing.assert_close(found, exact, atol=1e-10, rtol=0.0)
    surrogate = traces.log_det_series(value, x, traces.axes(x), [1.0] * 60, create_graph=True)
    full = traces.log_det(value, x, create_graph=True)
    torch.testing.assert_close(full, exact, atol=1e-12, rtol=0.0)
    torch.testing.assert_close(
        torch.autograd.grad(full.sum(), weight, retain_graph=True),
        torch.autograd.grad(exact.sum(), weight, retain_graph=True),
    )
    for slope, expected in zip(
        *(torch.autograd.grad(each.sum(), [weight, x]) for each in (surrogate, exact)), strict=True
    ):
        torch.testing.assert_close(slope, expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("num_exact", [0, 2])
def test_russian_roulette_is_unbiased_for_the_value_and_the_gradient(num_exact: int) -> None:
    torch.manual_seed(0)
    weight, x = world()
    row = x.detach()[:1].requires_grad_()
    value, exact = contraction(row, weight), torch.linalg.slogdet(torch.eye(DIMS) + jacobians(row, weight)).logabsdet
    expected = torch.autograd.grad(exact.sum(), weight)[0]
    values, slopes = [], []
    for _ in range(1000):
        probes, weights = traces.signs(row, 1), traces.roulette(num_exact, 0.5)
        values.append(traces.log_det_series(value, row, probes, weights, create_graph=True))
        slopes.append(torch.autograd.grad(values[-1].sum(), weight, retain_graph=True)[0])
    for found, truth in ((torch.stack(values).detach(), exact.detach()), (torch.stack(slopes), expected)):
        error = found.std(0) / len(found) ** 0.5
        assert ((found.mean(0) - truth).abs() < 4.0 * error).all()  # ten numbers at once


def test_roulette_keeps_the_mean_of_every_term() -> None:
    torch.manual_seed(0)
    draws = [traces.roulette(1, 0.4) for _ in range(20_000)]
    assert all(weights[0] == 1.0 for weights in draws)
    for k, alive in ((1, 0.6), (3, 0.6**3)):
        found = torch.tensor([weights[k] if len(weights) > k else 0.0 for weights in draws])
        assert abs(found.mean() - 1.0) < 4.0 * math.sqrt((1.0 / alive - 1.0) / len(draws))


def test_columns_and_volumes() -> None:
    weight, x = world()
    tall = torch.randn(5, DIMS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    value, found = traces.columns(lambda at: contraction(at, weight) @ tall.T, x.detach())
    exact = tall @ jacobians(x, weight)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0.0)
    torch.testing.assert_close(value, contraction(x, weight) @ tall.T)
    expected = 0.5 * torch.linalg.slogdet(exact.mT @ exact).logabsdet
    torch.testing.assert_close(traces.log_volume(found), expected, atol=1e-10, rtol=0.0)
    first = torch.autograd.grad(traces.log_volume(found).sum(), weight)[0]
    torch.testing.assert_close(first, torch.autograd.grad(expected.sum(), weight)[0], atol=1e-10, rtol=0.0)
    with torch.inference_mode():
        torch.testing.assert_close(traces.columns(torch.sin, x.detach().clone())[1], torch.diag_embed(x.cos()))
