"""Layers of codes against closed forms: KL of two normals, their product, free bits, and a two-layer linear-Gaussian world."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.stochastic_layers import (
    Layer,
    expected,
    free_bits,
    generated,
    given,
    inferred,
    joined,
    kl_by_layer,
    precision_weighted,
    shifted,
)


def drawn(*shape: int, seed: int = 0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    return Gaussian(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))


def as_torch(given: Gaussian) -> Normal:
    return Normal(given.mean.double(), given.log_var.double().mul(0.5).exp())


def test_kl_and_log_ratio_are_those_of_torch() -> None:
    p, q = drawn(5, 3, 2, 2, seed=1), drawn(5, 3, 2, 2, seed=2)
    z = torch.randn(5, 3, 2, 2)
    layer = Layer(z, p, q)
    exact = kl_divergence(as_torch(q), as_torch(p))
    torch.testing.assert_close(layer.kl().double(), exact.flatten(1), rtol=1e-5, atol=1e-5)
    ratio = (as_torch(p).log_prob(z.double()) - as_torch(q).log_prob(z.double())).flatten(1).sum(1)
    torch.testing.assert_close(layer.log_ratio().double(), ratio, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(layer.shift(), ((q.mean - p.mean) / p.log_var.mul(0.5).exp()).flatten(1))


def test_the_merge_is_the_normalised_product() -> None:
    """By quadrature of the product of the two densities."""
    first, second = drawn(1, 1, seed=3), drawn(1, 1, seed=4)
    grid = torch.linspace(-12.0, 12.0, 20_001, dtype=torch.float64)
    density = sum(as_torch(part).log_prob(grid).flatten() for part in (first, second)).exp()
    density = density / density.sum()
    mean = (density * grid).sum()
    variance = (density * (grid - mean).square()).sum()
    found = precision_weighted(first, second)
    assert found.mean.item() == pytest.approx(mean.item(), abs=1e-5)
    assert found.log_var.exp().item() == pytest.approx(variance.item(), abs=1e-5)


def test_a_merge_of_extreme_precisions_is_finite_and_that_of_the_sharper_one() -> None:
    sharp, wide = (
        Gaussian(torch.tensor([2.0]), torch.tensor([-14.0])),
        Gaussian(torch.tensor([-5.0]), torch.tensor([14.0])),
    )
    found = precision_weighted(sharp, wide)
    assert found.mean.item() == pytest.approx(2.0) and found.log_var.item() == pytest.approx(-14.0)


def test_a_shift_of_zero_is_the_prior_bit_for_bit() -> None:
    p = drawn(4, 3, seed=5)
    zero = Gaussian(torch.zeros(4, 3), torch.zeros(4, 3))
    assert torch.equal(Layer(p.mean, p, shifted(p, zero)).kl(), torch.zeros(4, 3))
    moved = shifted(p, Gaussian(torch.full((4, 3), 0.5), torch.full((4, 3), 0.2)))
    torch.testing.assert_close(moved.mean, p.mean + 0.5)
    torch.testing.assert_close(moved.log_var, p.log_var + 0.2)


def test_free_bits_by_hand() -> None:
    """Means over the batch 1.5 and .25 nats; below 1 nat the second layer counts as 1, without a gradient."""
    first = nn.Parameter(torch.tensor([[0.5, 0.5], [1.0, 1.0]]))
    second = nn.Parameter(torch.tensor([[0.25], [0.25]]))
    total = free_bits([first, second], 1.0)
    assert total.item() == pytest.approx(1.5 + 1.0)
    total.backward()
    torch.testing.assert_close(first.grad, torch.full((2, 2), 0.5))
    assert not second.grad.any()
    assert free_bits([first, second], 0.0).item() == pytest.approx(1.75)
    assert {name: value.item() for name, value in kl_by_layer([first, second]).items()} == {"kl_1": 1.5, "kl_2": 0.25}


def test_how_layers_are_chosen() -> None:
    p, q = drawn(20_000, 2, seed=6), drawn(20_000, 2, seed=7)
    torch.manual_seed(0)
    assert torch.equal(expected(0, p, q), q.mean)
    for z, wanted, spread in (
        (inferred(0, p, q), q, 1.0),
        (generated(0.5)(0, p, None), p, 0.5),
        (generated(0.0)(0, p, None), p, 0.0),
    ):
        standard = (z - wanted.mean) / wanted.log_var.mul(0.5).exp()
        assert standard.mean().item() == pytest.approx(0.0, abs=0.02)
        assert standard.std().item() == pytest.approx(spread, abs=0.02)
    layers = [Layer(torch.randn(3, 2), p), Layer(torch.randn(3, 4, 2, 2), p)]
    choose = given(joined(layers), [(2,), (4, 2, 2)])
    assert all(torch.equal(choose(index, p, None), layer.z) for index, layer in enumerate(layers))


def test_the_bound_of_two_layers_is_exact_at_the_true_posterior() -> None:
    """z_1 ~ N(0, 1), z_2 ~ N(a z_1, s^2), x ~ N(z_2, t^2): with q the exact conditionals, log p(x|z) plus the log-ratios is
    log p(x) for every draw, and the closed-form KLs agree with it on average."""
    a, s2, t2, x = 0.8, 0.5, 0.3, torch.full((50_000, 1), 1.7)

    def normal(mean: torch.Tensor, variance: float) -> Gaussian:
        return Gaussian(mean, torch.full_like(mean, math.log(variance)))

    torch.manual_seed(1)
    top = a / (a**2 + s2 + t2)
    p_1, q_1 = normal(torch.zeros_like(x), 1.0), normal(top * x, 1.0 - top * a)
    first = Layer(q_1.sample(), p_1, q_1)
    p_2 = normal(a * first.z, s2)
    q_2 = precision_weighted(p_2, normal(x, t2))
    second = Layer(q_2.sample(), p_2, q_2)
    likelihood = normal(second.z, t2).log_prob(x).sum(1)
    exact = Normal(0.0, math.sqrt(a**2 + s2 + t2)).log_prob(x).flatten()
    torch.testing.assert_close(likelihood + first.log_ratio() + second.log_ratio(), exact, rtol=1e-4, atol=1e-4)
    bound = likelihood - first.kl().sum(1) - second.kl().sum(1)
    assert bound.mean().item() == pytest.approx(exact.mean().item(), abs=4.0 * bound.std().item() / 50_000**0.5)
