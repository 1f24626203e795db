"""The normal posterior with a full covariance against PyTorch's, and against the exact posterior of a linear model."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.full_normal import FullNormal, full_normal, num_below
from genarena.models.vae.vamp_vae import VampVAE
from genarena.spec import DataSpec

NUM, DIMS = 3, 4


@pytest.fixture
def q() -> FullNormal:
    torch.manual_seed(0)
    return full_normal(2.0 * torch.randn(NUM, 2 * DIMS + num_below(DIMS)), DIMS)


def of_torch(q: FullNormal) -> MultivariateNormal:
    scale = torch.diag_embed(torch.exp(0.5 * q.alone.log_var))
    return MultivariateNormal(q.alone.mean, scale_tril=scale @ (torch.eye(q.below.shape[1]) + q.below))


def test_log_densities_are_those_of_torch(q: FullNormal) -> None:
    truth = of_torch(q)
    torch.manual_seed(1)
    z, log_q = q.draw()
    torch.testing.assert_close(log_q, truth.log_prob(z), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(q.log_prob(z).sum(1), log_q, rtol=1e-4, atol=1e-4)
    z, log_q = q.draws(500)
    torch.testing.assert_close(log_q, truth.log_prob(z), rtol=1e-4, atol=1e-4)
    each = q.log_prob_of_each(z[:, 0])
    torch.testing.assert_close(each, truth.log_prob(z[:, 0, None]), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(q.rows(torch.tensor([2, 0])).log_prob_of_each(z[0]), q.log_prob_of_each(z[0])[:, [2, 0]])


def test_narrow_and_correlated_normals_keep_their_digits() -> None:
    torch.manual_seed(0)
    dims = 32
    outputs = torch.cat([torch.randn(6, dims), torch.full((6, dims), -12.0), torch.randn(6, num_below(dims))], 1)
    q = full_normal(outputs.bfloat16(), dims)
    assert q.below.dtype == q.alone.mean.dtype == torch.float32
    z = q.sample()
    root = torch.diag_embed(torch.exp(0.5 * q.alone.log_var.double())) @ (torch.eye(dims).double() + q.below.double())
    truth = MultivariateNormal(q.alone.mean.double(), scale_tril=root).log_prob(z.double())
    torch.testing.assert_close(q.log_prob_of_each(z).diagonal().double(), truth, rtol=0.0, atol=1e-3)


def test_draws_have_the_covariance(q: FullNormal) -> None:
    torch.manual_seed(1)
    z = q.draws(40_000)[0]
    assert ((z.mean(0) - q.centre()) / z.std(0)).abs().max() < 4.5 / 40_000**0.5
    truth = of_torch(q).covariance_matrix
    for found, expected in zip(z.unbind(1), truth, strict=True):
        spread = torch.outer(*[expected.diag().sqrt()] * 2)
        assert ((found.T.cov() - expected) / spread).abs().max() < 4.5 * 2.0**0.5 / 40_000**0.5


def test_a_dimension_is_given_those_before_it(q: FullNormal) -> None:
    """The density of the first dimensions alone is the sum of their terms."""
    z, truth = torch.randn(NUM, DIMS), of_torch(q)
    for k in range(1, DIMS):
        marginal = MultivariateNormal(truth.mean[:, :k], truth.covariance_matrix[:, :k, :k])
        torch.testing.assert_close(q.log_prob(z)[:, :k].sum(1), marginal.log_prob(z[:, :k]), rtol=1e-3, atol=1e-3)


def exact_posterior(weight: Tensor, x: Tensor, noise: float) -> FullNormal:
    """p(z|x) of z ~ N(0, I), x = weight z + noise eps."""
    covariance = torch.linalg.inv(torch.eye(weight.shape[1]) + weight.T @ weight / noise**2)
    root = torch.linalg.cholesky(covariance)
    scale = root.diagonal()
    mean = (x @ weight / noise**2) @ covariance
    below = (root / scale[:, None]).tril(-1).expand(len(x), -1, -1)
    return FullNormal(Gaussian(mean, 2.0 * scale.log().expand_as(mean)), below)


def test_the_bound_is_exact_where_the_posterior_is_normal_and_a_diagonal_one_is_below() -> None:
    torch.manual_seed(0)
    weight, x, noise = torch.randn(5, 3), torch.randn(4, 5), 0.5
    covariance = weight @ weight.T + noise**2 * torch.eye(5)
    truth = MultivariateNormal(torch.zeros(5), covariance).log_prob(x)
    q = exact_posterior(weight, x, noise)

    def weights(z: Tensor, log_q: Tensor) -> Tensor:
        log_likelihood = Normal(z @ weight.T, noise).log_prob(x).sum(-1)
        return log_likelihood + Normal(0.0, 1.0).log_prob(z).sum(-1) - log_q

    torch.testing.assert_close(weights(*q.draw()), truth, rtol=1e-4, atol=1e-3)  # each draw
    precision = (torch.eye(3) + weight.T @ weight / noise**2).diagonal()
    diagonal = Gaussian(q.alone.mean, -precision.log().expand(4, -1))  # the best of its kind
    gap = truth - weights(*diagonal.draws(4000)).mean(0)
    assert gap.min() > 0.1


def test_the_prior_is_the_mixture_of_full_posteriors() -> None:
    torch.manual_seed(0)
    model = VampVAE(DataSpec((6,)), num_pseudo_inputs=3, covariance="full", latent_dim=3, hidden=8)
    with torch.no_grad():
        model.encoder[-1].weight.normal_()
        parts, z = of_torch(model.components()), torch.randn(5, 3)
        expected = torch.logsumexp(parts.log_prob(z[:, None]), 1) - torch.tensor(3.0).log()
        torch.testing.assert_close(model.log_prior(z), expected, rtol=1e-4, atol=1e-3)
        codes = model.code(60_000)
        assert ((codes.mean(0) - parts.mean.mean(0)) / codes.std(0)).abs().max() < 4.5 / 60_000**0.5
        within = parts.covariance_matrix.mean(0) + parts.mean.T.cov(correction=0)
        torch.testing.assert_close(codes.T.cov(), within, rtol=0.1, atol=0.03 * within.diag().max().item())


def test_draws_lose_no_digits_under_autocast(q: FullNormal) -> None:
    noise = torch.randn(6, NUM, DIMS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(q.at(noise), of_float32(q, noise)) and q.draws(6)[1].dtype == torch.float32


def of_float32(q: FullNormal, noise: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return q.at(noise)


def test_of_outputs_by_hand_and_without_gradients() -> None:
    outputs = torch.arange(9.0)[None].requires_grad_()
    q = full_normal(outputs, 3)
    assert q.alone.mean.tolist() == [[0.0, 1.0, 2.0]] and q.alone.log_var.tolist() == [[3.0, 4.0, 5.0]]
    below = torch.tensor([[[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [7.0, 8.0, 0.0]]])
    torch.testing.assert_close(q.below * 3.0**0.5, below)
    assert q.log_prob(torch.zeros(1, 3)).requires_grad and not q.detached().log_prob(torch.zeros(1, 3)).requires_grad
