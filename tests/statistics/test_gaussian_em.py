"""EM against closed forms: complete rows, monotone holes, conditionals of a Gaussian; its objective never falls."""

import pytest
import torch

from genarena.statistics import gaussian_em


def rows(num: int, dims: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draws of a Gaussian, its mean and its covariance."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(dims, dims, generator=generator, dtype=torch.float64) + torch.eye(dims)
    mean = torch.randn(dims, generator=generator, dtype=torch.float64)
    return mean + torch.randn(num, dims, generator=generator, dtype=torch.float64) @ root.T, mean, root @ root.T


def test_without_holes_it_is_the_sample_covariance() -> None:
    x, _, _ = rows(50)
    found = gaussian_em.fit(x)
    assert torch.allclose(found.mean, x.mean(0), atol=1e-12)
    assert torch.allclose(found.covariance, torch.cov(x.T, correction=0), atol=1e-10)


def test_monotone_holes_have_a_closed_form() -> None:
    """Anderson 1957: the mean and covariance of the first columns from all rows, then the regression of the last on
    them from the rows that have it."""
    x, _, _ = rows(80, 3)
    x[50:, 2] = torch.nan
    found = gaussian_em.fit(x, tolerance=1e-15)
    first, last = x[:, :2], x[:50, 2]
    design = torch.cat([torch.ones(50, 1, dtype=torch.float64), first[:50]], 1)
    beta = torch.linalg.lstsq(design, last[:, None]).solution[:, 0]
    noise = (last - design @ beta).square().mean()
    mean, covariance = first.mean(0), torch.cov(first.T, correction=0)
    cross = covariance @ beta[1:]
    assert torch.allclose(found.mean, torch.cat([mean, (beta[0] + mean @ beta[1:])[None]]), atol=1e-6)
    assert torch.allclose(found.covariance[:2, :2], covariance, atol=1e-6)
    assert torch.allclose(found.covariance[2, :2], cross, atol=1e-6)
    assert torch.allclose(found.covariance[2, 2], noise + beta[1:] @ cross, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_objective_never_falls_and_the_truth_is_found(weight: float) -> None:
    x, mean, covariance = rows(3000)
    hidden = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    hidden[hidden.all(1)] = False
    found = gaussian_em.fit(x.masked_fill(hidden, torch.nan), weight)
    gains = torch.tensor(found.objective).diff()
    assert len(gains) > 5 and (gains > -1e-7).all()
    complete = gaussian_em.fit(x)
    for truth, value, scale in (
        (mean, found.mean, covariance.diagonal().sqrt()),
        (covariance, found.covariance, covariance.diagonal().sqrt().outer(covariance.diagonal().sqrt())),
    ):
        assert ((value - truth) / scale).abs().max() < 0.1
    assert not torch.allclose(found.mean, complete.mean, atol=1e-4)


def test_conditionals_and_draws() -> None:
    x, mean, covariance = rows(1)
    x[0, [1, 3]] = torch.nan
    found = gaussian_em.conditional(x, mean, covariance)
    o, h = [0, 2], [1, 3]
    gain = covariance[h][:, o] @ covariance[o][:, o].inverse()
    exact = mean[h] + gain @ (x[0, o] - mean[o])
    spread = covariance[h][:, h] - gain @ covariance[o][:, h]
    assert torch.allclose(found.mean[0, h], exact) and torch.equal(found.mean[0, o], x[0, o])
    assert torch.allclose(found.covariance[0][h][:, h], spread) and found.covariance[0][o].abs().max() == 0
    normal = torch.distributions.MultivariateNormal(mean[o], covariance[o][:, o])
    assert torch.allclose(found.log_prob[0], normal.log_prob(x[0, o]))
    torch.manual_seed(0)
    drawn = gaussian_em.draws(x, mean, covariance, torch.randn(20_000, 1, 4, dtype=torch.float64))
    assert torch.equal(drawn[:, 0, o], x[:, o].expand(20_000, 2))
    assert ((drawn[:, 0, h].mean(0) - exact) / spread.diagonal().sqrt()).abs().max() < 0.03
    assert (torch.cov(drawn[:, 0, h].T) / spread - 1).abs().max() < 0.1


def test_a_column_without_entries_is_refused() -> None:
    with pytest.raises(ValueError, match="column 2 has no observed entry"):
        gaussian_em.fit(torch.tensor([[1.0, torch.nan], [2.0, torch.nan]]))
