"""Estimates of log q(z) from a batch against aggregates that are known: a Gaussian, and all of a small data set."""

import math

import pytest
import torch
from torch import Tensor

from genarena.models.vae.aggregate_posterior import Decomposition, decomposition, log_densities, log_weights, permuted
from genarena.models.vae.diagonal_normal import Gaussian

COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
TRUTH = -0.5 * math.log(1.0 - 0.9**2)  # .8304 nats: total correlation of N(0, COVARIANCE)
STANDARD = Gaussian(torch.zeros(1, 2), torch.zeros(1, 2))


def posteriors(num: int, spread: float = 0.25, seed: int = 0) -> Gaussian:
    """Whose aggregate is N(0, COVARIANCE): means of covariance COVARIANCE - spread^2 I."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(COVARIANCE - spread**2 * torch.eye(2))
    return Gaussian(torch.randn(num, 2, generator=generator) @ root.T, torch.full((num, 2), 2.0 * math.log(spread)))


def drawn(posterior: Gaussian, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return posterior.mean + (0.5 * posterior.log_var).exp() * torch.randn(posterior.mean.shape, generator=generator)


def test_the_truth_is_the_documented_number() -> None:
    assert pytest.approx(0.8304, abs=1e-4) == TRUTH


@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_the_three_terms_are_the_kl_of_the_draws(sampling: str) -> None:
    generator = torch.Generator().manual_seed(2)
    mean, log_var, z = torch.randn(3, 64, 10, generator=generator)
    posterior, prior = Gaussian(mean, log_var), Gaussian(torch.zeros(64, 10), torch.zeros(64, 10))
    terms = decomposition(z, posterior, prior, 1000, sampling)
    kl = (posterior.log_prob(z) - prior.log_prob(z)).sum(1).mean()
    assert sum(terms).item() == pytest.approx(kl.item(), rel=1e-5, abs=1e-5)


def test_the_whole_data_gives_the_exact_aggregate() -> None:
    """Stratified weights of a batch that is the whole data are 1 / N each: log q(z) of the mixture."""
    posterior = posteriors(40)
    z = drawn(posterior)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(40)),
        torch.distributions.MultivariateNormal(posterior.mean, torch.diag_embed(posterior.log_var.exp())),
    )
    estimate = torch.logsumexp(log_weights(40, 40, "stratified") + log_densities(z, posterior).sum(2), 1)
    torch.testing.assert_close(estimate, mixture.log_prob(z), rtol=1e-5, atol=1e-5)


def test_stratified_weights_are_unbiased_for_a_small_batch() -> None:
    """E[estimate of q(z_i)] = q(z_i): 40,000 batches of 4 out of 12, each with the example that z came from."""
    posterior, generator = posteriors(12), torch.Generator().manual_seed(3)
    z = drawn(posterior)[:1]
    density = log_densities(z, posterior).sum(2).exp()[0].double()  # (12,) q(z|x_j), the first is its own
    others = 1 + torch.rand(40_000, 11, generator=generator).argsort(1)[:, :3]
    rows = torch.cat([density[:1].expand(40_000, 1), density[others]], 1)
    estimates = (log_weights(4, 12, "stratified")[0].double().exp() * rows).sum(1)
    error = estimates.std() / 40_000**0.5
    assert (estimates.mean() - density.mean()).abs() < 3.0 * error
    weighted = (log_weights(4, 12, "weighted")[0].double().exp() * rows).sum(1)
    assert (weighted.mean() - density.mean()).abs() > 30.0 * error  # so the test can fail


def correlation(size: int, sampling: str, seed: int) -> float:
    posterior = posteriors(size, seed=seed)
    return decomposition(drawn(posterior, seed + 50), posterior, STANDARD, size, sampling).total_correlation.item()


def test_the_total_correlation_of_a_gaussian_is_reached() -> None:
    """Weighted sampling is off by log N per marginal and joint density: (D - 1) log N = log N for two dimensions."""
    found = torch.tensor([correlation(1000, "stratified", seed) for seed in range(6)])
    assert (found.mean() - TRUTH).abs() < 3.0 * found.std() / 6**0.5 + 0.005  # 0.005: of a finite N
    weighted = torch.tensor([correlation(1000, "weighted", seed) - math.log(1000) for seed in range(6)])
    torch.testing.assert_close(weighted, found, rtol=0.0, atol=1e-4)
    small = torch.tensor([correlation(20, "stratified", seed) for seed in range(100)])
    assert small.std() > 4.0 * found.std()  # seven times: the root of 50 times as many examples


def test_both_samplings_have_the_same_gradient_where_the_batch_is_the_data() -> None:
    def gradient(sampling: str) -> Tensor:
        posterior = posteriors(30)
        posterior.mean.requires_grad_()
        terms: Decomposition = decomposition(drawn(posterior), posterior, STANDARD, 30, sampling)
        return torch.autograd.grad(terms.total_correlation, posterior.mean)[0]

    torch.testing.assert_close(gradient("weighted"), gradient("stratified"))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_data=8: a batch has 9 examples"):
        log_weights(9, 8, "stratified")


def test_permuted_keeps_each_dimension_and_breaks_their_ties() -> None:
    torch.manual_seed(0)
    z = torch.randn(5000, 2) @ torch.linalg.cholesky(COVARIANCE).T
    mixed = permuted(z)
    torch.testing.assert_close(mixed.sort(0).values, z.sort(0).values)
    assert torch.corrcoef(z.T)[0, 1] > 0.88
    assert torch.corrcoef(mixed.T)[0, 1].abs() < 3.0 / 5000**0.5


@pytest.mark.parametrize("log_var", [-14.0, -4.0, 3.0])
def test_densities_by_products_are_those_by_dimension(log_var: float) -> None:
    torch.manual_seed(0)
    each = Gaussian(5.0 + torch.randn(6, 3), log_var + torch.randn(6, 3))
    z = each.sample()
    torch.testing.assert_close(each.log_prob_of_each(z), log_densities(z, each).sum(2), rtol=1e-5, atol=1e-4)
