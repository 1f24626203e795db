"""The mixture of Gaussians: EM against closed forms, known mixtures and the single Gaussian."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.baseline import normals
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.gmm import GMM
from genarena.models.baseline.k_means import k_means
from genarena.spec import Batch, DataSpec

PLAIN = {"shrinkage": 0.0, "pooling": 0.0, "covariance": "full"}


def fitted(model: GMM | Gaussian, x: Tensor, passes: int = 1, size: int = 50) -> GMM | Gaussian:
    for _ in range(passes):
        for part in x.split(size):
            model.observe(Batch(part))
    return model.eval()


def correlated_levels(num: int, dims: int, levels: int) -> Tensor:
    noise = torch.randn(num, dims, generator=torch.Generator().manual_seed(0))
    return ((noise + noise.roll(1, 1)) * 0.2 * levels + levels / 3).round().clamp(0, levels - 1).to(torch.uint8)


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[0.0, 0.0], [6.0, 1.0], [-1.0, 5.0]], dtype=torch.float64)
FACTORS = torch.tensor(
    [[[1.0, 0.0], [0.8, 0.5]], [[0.4, 0.0], [0.0, 1.5]], [[1.2, 0.0], [-0.6, 0.3]]], dtype=torch.float64
)


def from_known_mixture(num: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(WEIGHTS, num, replacement=True, generator=generator)
    noise = torch.randn(num, 2, 1, generator=generator, dtype=torch.float64)
    return (MEANS[chosen] + (FACTORS[chosen] @ noise).squeeze(2)).float()


def known_log_prob(x: Tensor) -> Tensor:
    parts = torch.distributions.MultivariateNormal(MEANS, scale_tril=FACTORS)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(WEIGHTS), parts)
    return mixture.log_prob(x.double())


def test_recovers_a_known_mixture() -> None:
    torch.manual_seed(0)
    x = from_known_mixture(20_000)
    model = fitted(GMM(DataSpec((2,)), num_components=3, **PLAIN), x, passes=5, size=500)
    order = torch.cdist(MEANS, model.mean).argmin(1)
    assert order.unique().numel() == 3
    torch.testing.assert_close(model.weight[order], WEIGHTS, atol=0.015, rtol=0.0)  # four standard errors
    torch.testing.assert_close(model.mean[order], MEANS, atol=0.1, rtol=0.0)
    torch.testing.assert_close(model.covariances()[order], FACTORS @ FACTORS.mT, atol=0.12, rtol=0.0)
    new = from_known_mixture(40_000)[20_000:]
    gap = (known_log_prob(new) - model.log_prob(new)).mean().item()
    assert 0.0 < gap + 0.002 and gap < 0.005  # 17 parameters / 2 / 20,000 examples is 0.0004 nats


def test_every_step_of_em_over_all_the_data_raises_the_likelihood_to_a_fixed_point() -> None:
    """With forgetting = 0 each batch replaces the statistics: EM itself, which never lowers the likelihood."""
    torch.manual_seed(3)
    x = from_known_mixture(600)
    model = GMM(DataSpec((2,)), num_components=4, forgetting=0.0, **PLAIN)
    model.observe(Batch(x))
    values = []
    for _ in range(300):
        values.append(model.log_prob(x).double().mean())
        model.observe(Batch(x))
    steps = torch.stack(values).diff()
    assert (steps > -1e-6).all() and steps[:5].sum() > 1e-3 and steps[-1].abs() < 1e-6


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_density_on_the_plane_integrates_to_one_and_samples_follow_it(covariance: str) -> None:
    torch.manual_seed(0)
    model = fitted(GMM(DataSpec((2,)), num_components=4, covariance=covariance), from_known_mixture(1000), passes=3)
    axis = 0.05 * (torch.arange(600) - 300 + 0.5) + 2.0
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    log_prob = model.log_prob(grid)
    inside = (grid.abs() < 1.5).all(1)
    mass, expected = log_prob.exp().sum() * 0.05**2, log_prob[inside].exp().sum() * 0.05**2
    share = (model.sample(20_000).abs() < 1.5).all(1).float().mean()
    torch.testing.assert_close(mass, torch.tensor(1.0), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(share, expected, atol=0.015, rtol=0.0)
    assert model.likelihood is Likelihood.EXACT


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("levels", [17, None])
def test_one_component_is_the_gaussian(covariance: str, levels: int | None) -> None:
    """The same moments in one pass, whatever the batches; the Gaussian's shrinkage to the average variance left out."""
    x = correlated_levels(400, 5, 17)
    x, spec = (x if levels else x.float()), DataSpec((5,), levels)
    one = fitted(GMM(spec, num_components=1, covariance=covariance, shrinkage=0.0, forgetting=1.0), x, size=37)
    single = fitted(Gaussian(spec, covariance=covariance, shrinkage=1e-9), x)
    torch.testing.assert_close(one.covariances()[0], single.covariance(), atol=1e-6, rtol=1e-6)
    torch.manual_seed(0)
    left = one.log_prob(x, num_samples=3)
    torch.manual_seed(0)
    torch.testing.assert_close(left, single.log_prob(x, num_samples=3), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 5])
def test_diagonal_masses_sum_to_one(levels: int) -> None:
    spec, x = DataSpec((1, 1, 3), levels), correlated_levels(300, 3, levels).view(-1, 1, 1, 3)
    torch.manual_seed(0)
    model = fitted(GMM(spec, num_components=3, covariance="diagonal"), x, passes=2)
    everything = torch.tensor(list(itertools.product(range(levels), repeat=3)), dtype=torch.uint8).view(-1, 1, 1, 3)
    assert model.likelihood is Likelihood.EXACT
    assert model.log_prob(everything).double().exp().sum() == pytest.approx(1, abs=1e-5)


def test_full_bound_tightens_and_its_masses_sum_to_less_than_one() -> None:
    spec, x = DataSpec((2,), 4), correlated_levels(300, 2, 4)
    torch.manual_seed(0)
    model = fitted(GMM(spec, num_components=2, covariance="full"), x)
    everything = torch.cartesian_prod(torch.arange(4), torch.arange(4)).to(torch.uint8)
    repeated = everything.repeat(400, 1)
    one = model.log_prob(repeated).view(400, 16).mean(0)
    many = model.log_prob(everything, num_samples=4000)
    assert (one < many).all()
    axis = (torch.arange(400) + 0.5) / 100  # the mass of a cell, by the midpoint rule
    density = model._log_joint(torch.cartesian_prod(axis, axis)).logsumexp(1).exp().view(4, 100, 4, 100)
    torch.testing.assert_close(many.exp(), density.mean((1, 3)).flatten().float(), atol=2e-3, rtol=0.05)
    assert many.exp().sum() < 1.0


def test_what_em_raises_is_a_bound_on_the_mean_over_noise() -> None:
    """lse_k E log(pi_k N_k(x + noise)) <= E log p(x + noise), and both are one for a single component."""
    x = correlated_levels(400, 3, 17)
    for components in (1, 4):
        torch.manual_seed(0)
        model = fitted(GMM(DataSpec((3,), 17), num_components=components, covariance="full"), x)
        closed = torch.logsumexp(model._expected_log_joint(model._points(x[:6])), 1).float()
        draws = model.log_weights(x[:6], num_samples=20_000)
        error = 4.0 * draws.std(0) / 20_000**0.5
        assert (closed <= draws.mean(0) + error).all()
        if components == 1:
            assert ((closed - draws.mean(0)).abs() <= error).all()


def test_k_means_finds_separated_clusters() -> None:
    torch.manual_seed(0)
    centres = 100.0 * torch.eye(6, dtype=torch.float64)
    labels = torch.arange(6).repeat(20)
    found = k_means(centres[labels] + torch.randn(120, 6, dtype=torch.float64), 6).argmax(1)
    assert len({(a, b) for a, b in zip(labels.tolist(), found.tolist(), strict=True)}) == 6


def test_fewer_examples_than_components() -> None:
    torch.manual_seed(0)
    x = correlated_levels(3, 4, 17)
    model = fitted(GMM(DataSpec((4,), 17), num_components=8), x.repeat(4, 1), size=3)
    assert torch.isfinite(model.log_prob(x)).all()
    assert model.weight.sum().item() == pytest.approx(1.0)


def test_in_eval_mode_nothing_is_learnt_and_untrained_it_is_about_the_uniform() -> None:
    model = GMM(DataSpec((1, 8, 8), 256)).eval()
    x = torch.randint(256, (64, 1, 8, 8), dtype=torch.uint8)
    model.loss(Batch(x))
    assert model.count == 0
    assert 8 < -model.log_prob(x).mean() / (64 * math.log(2)) < 8.5


def test_too_many_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="10 components of 3,072 dimensions"):
        GMM(DataSpec((3, 32, 32), 256), num_components=10, covariance="full")
    GMM(DataSpec((3, 32, 32), 256), num_components=10)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("levels", [16, None])
def test_damaged_statistics_give_no_numbers(covariance: str, levels: int | None) -> None:
    x = correlated_levels(50, 4, 16)
    x = x if levels else x.float()
    model = fitted(GMM(DataSpec((4,), levels), num_components=2, covariance=covariance), x)
    model.spread.fill_(math.nan)
    assert model.log_prob(x[:3]).isnan().all()
    assert model.sample(3).isnan().any(1).all()


def test_moments_of_all_components_at_once_are_those_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 1000.0 + torch.randn(40, 3, generator=generator, dtype=torch.float64)
    weights = torch.rand(40, 4, generator=generator, dtype=torch.float64) / 20.0  # whose sums are not 1
    each = [normals.moments(x, weights[:, k], is_full=False) for k in range(4)]
    for at_once, parts in zip(normals.diagonal_moments(x, weights), zip(*each, strict=True), strict=True):
        torch.testing.assert_close(at_once, torch.stack(parts), rtol=1e-9, atol=0.0)
