"""A mixture as the prior of an autoencoder, against a linear-Gaussian one, whose likelihood is known."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, kl_divergence

from genarena.build import build
from genarena.config import compose
from genarena.likelihood import Likelihood, log_mean_exp
from genarena.models.baseline.gmm import GMM
from genarena.models.first_stage import FirstStage
from genarena.models.vae.latent_gmm import LatentGMM
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, Condition, DataSpec
from tests.analytic import Affine, LinearGaussian
from tests.first_stages import standing

PLAIN = {"shrinkage": 0.0, "pooling": 0.0, "covariance": "full"}
SCALE = 1.7


class Pair:
    """p(x|z) and q(z|x) of a linear-Gaussian VAE trained with p(z) = N(0, I), and a mixture of `num_components`."""

    def __init__(self, num_components: int) -> None:
        torch.manual_seed(2)
        self.world = world = LinearGaussian()
        first = VAE(DataSpec((4,)), latent_dim=2, hidden=4)
        first.decoder = Affine(world.weight, world.bias, torch.full((4,), 2.0 * math.log(world.noise)))
        first.encoder = Affine(world.gain, -world.gain @ world.bias, world.variance.log())
        self.first = first.eval()
        self.model = LatentGMM(
            first.spec, partial(GMM, num_components=num_components, **PLAIN), FirstStage(first)
        ).eval()
        self.model.first_stage.scale.fill_(SCALE)

    def data(self, num: int, covariance: Tensor) -> Tensor:
        """x of codes with another distribution than N(0, I), which p(x|z) is right for."""
        z = torch.randn(num, 2) @ torch.linalg.cholesky(covariance).T
        return z @ self.world.weight.T + self.world.bias + self.world.noise * torch.randn(num, 4)

    def fit(self, x: Tensor, passes: int = 1) -> None:
        for _ in range(passes):
            self.model.observe(Batch(x))

    def likelihood(self) -> MixtureSameFamily:
        """p(x) under the fitted mixture: each component of z is one of x."""
        prior, weight = self.model.prior, self.world.weight.double()
        means = SCALE * prior.mean @ weight.T + self.world.bias
        noise = self.world.noise**2 * torch.eye(4, dtype=torch.float64)
        covariances = SCALE**2 * weight @ prior.covariances() @ weight.T + noise
        return MixtureSameFamily(Categorical(prior.weight), MultivariateNormal(means, covariances))


@torch.no_grad()
def test_bound_is_the_likelihood_where_the_prior_was_right() -> None:
    pair = Pair(1)
    x = pair.data(100_000, torch.eye(2))
    pair.fit(x)
    elbo = pair.model.log_prob(x[:200].repeat(400, 1)).view(400, 200)
    error = elbo.std(0) / 20.0
    gap = pair.likelihood().log_prob(x[:200].double()) - elbo.mean(0)
    assert (gap.abs() < 4.5 * error + 0.01).all()
    assert error.max() < 0.1


@torch.no_grad()
def test_gain_over_the_old_prior_is_the_divergence_of_the_codes_from_it() -> None:
    """ELBO surgery (Hoffman & Johnson 2016): E_q[log q(z) - log N(z; 0, I)] = KL( q(z) || N(0, I) ), q(z) = E_x q(z|x)."""
    pair, covariance = Pair(1), torch.tensor([[5.0, 2.0], [2.0, 4.0]])
    x = pair.data(200_000, covariance)
    pair.fit(x)
    gain = pair.world.gain @ pair.world.weight
    spread = gain @ covariance @ gain.T + pair.world.noise**2 * pair.world.gain @ pair.world.gain.T
    codes = MultivariateNormal(torch.zeros(2), spread + pair.world.variance.diag())
    expected = kl_divergence(codes, MultivariateNormal(torch.zeros(2), torch.eye(2)))
    difference = pair.model.log_prob(x) - pair.first.log_prob(x)
    error = difference.std() / len(x) ** 0.5
    assert expected > 0.5
    assert abs(difference.mean() - expected) < 4.0 * error + 0.005
    assert error < 0.01


@torch.no_grad()
def test_importance_weights_average_to_the_exact_likelihood_of_a_mixture() -> None:
    pair = Pair(3)
    shifts = torch.tensor([[0.0, 0.0], [4.0, 0.0], [-3.0, 5.0]]) @ pair.world.weight.T
    x = pair.data(3000, torch.eye(2)) + shifts.repeat(1000, 1)
    pair.fit(x, passes=20)
    assert (pair.model.prior.mean - pair.model.prior.mean[0]).norm(dim=1)[1:].min() > 1.0  # three components
    x = x[:6]
    exact = pair.likelihood().log_prob(x.double())
    weights = pair.model.log_weights(x.repeat(5000, 1), num_samples=2).view(10_000, 6).double()
    estimate = log_mean_exp(weights)
    error = (weights - estimate).exp().std(0) / 100.0
    assert ((estimate - exact).abs() < 4.0 * error).all()
    assert error.max() < 0.05
    draws = pair.model.log_prob(x.repeat(5000, 1)).view(5000, 6)
    error = draws.std(0) / 5000**0.5 + weights.std(0) / 100.0
    assert (draws.mean(0) < exact + 4.0 * error).all()
    assert ((draws.mean(0) - weights.mean(0)).abs() < 4.0 * error).all()


@torch.no_grad()
def test_samples_are_those_of_the_mixture() -> None:
    pair, covariance = Pair(1), torch.tensor([[3.0, 1.2], [1.2, 2.0]])
    pair.fit(pair.data(50_000, covariance))
    samples, truth = pair.model.sample(100_000), pair.likelihood().component_distribution
    torch.testing.assert_close(samples.mean(0).double(), truth.mean[0], atol=0.05, rtol=0.0)
    torch.testing.assert_close(samples.T.cov().double(), truth.covariance_matrix[0], atol=0.15, rtol=0.0)


@torch.no_grad()
def test_with_labels_there_is_the_mixture_of_each_label() -> None:
    """Scores and samples of a label are those of a pair that has seen the examples of that label alone."""
    pair = Pair(1)
    x = torch.cat([pair.data(2000, torch.eye(2)), pair.data(2000, 5.0 * torch.eye(2)) + 3.0])
    y = torch.arange(2).repeat_interleave(2000)
    spec = replace(pair.first.spec, num_classes=2, condition="label")
    prior = partial(GMM, num_components=1, **PLAIN)
    both = LatentGMM(spec, prior, FirstStage(pair.first)).eval()
    both.first_stage.scale.fill_(SCALE)
    torch.manual_seed(0)
    codes = both.first_stage.draw(both.first_stage.encoded(x))
    both.prior.observe(Batch(codes, y))
    for label in range(2):
        pair.model.prior = prior(pair.model.prior.spec)
        pair.model.prior.observe(Batch(codes[y == label]))
        own, given = x[y == label][:50], torch.full((50,), label)
        for alone, labelled in (
            (lambda: pair.model.log_weights(own, num_samples=3), lambda: both.log_weights(own, given, 3)),  # noqa: B023
            (lambda: pair.model.log_prob(own), lambda: both.log_prob(own, given)),  # noqa: B023
            (lambda: pair.model.sample(50), lambda: both.sample(50, given)),  # noqa: B023
        ):
            found = []
            for each in (alone, labelled):
                torch.manual_seed(1)
                found.append(each())
            assert torch.equal(*found)
    assert (both.log_prob(x, y) - both.log_prob(x, 1 - y)).mean() > 1.0
    with pytest.raises(ValueError, match=r"data\.condition=attributes: LatentGMM takes label"):
        LatentGMM(replace(spec, condition=Condition("attributes", 3)), prior, FirstStage(pair.first))


@torch.no_grad()
def test_first_stage_without_densities_gives_no_likelihood() -> None:
    node = standing(compose(["model=latent_gmm", "data=digits"]))
    flow = build(compose(["model=injective_flow", "data=digits"]).model, "model")
    model = LatentGMM(flow.spec, build(node.prior, "prior"), FirstStage(flow)).eval()
    x = torch.randint(17, (64, 1, 8, 8), dtype=torch.uint8)
    model.observe(Batch(x))
    assert model.likelihood is Likelihood.NONE
    for method in (model.log_prob, model.log_weights):
        with pytest.raises(TypeError, match="no likelihood"):
            method(x)
    assert model.sample(3).shape == (3, 1, 8, 8)
