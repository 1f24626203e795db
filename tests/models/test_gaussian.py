import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from genarena.likelihood import Likelihood
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec


def fitted(spec: DataSpec, x: torch.Tensor, **options) -> Gaussian:
    model = Gaussian(spec, **options)
    for part in x.split([1, 7, len(x) - 8]):
        model.observe(Batch(part))
    return model.eval()


def correlated_levels(num: int, dims: int, levels: int) -> torch.Tensor:
    noise = torch.randn(num, dims, generator=torch.Generator().manual_seed(0))
    return ((noise + noise.roll(1, 1)) * 0.2 * levels + levels / 3).round().clamp(0, levels - 1).to(torch.uint8)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_merged_moments_are_the_moments_of_all_the_data(covariance):
    x = correlated_levels(500, 6, 256)
    model = fitted(DataSpec((6,), 256), x, covariance=covariance, shrinkage=1e-9)
    expected = x.double().T.cov(correction=0) + torch.eye(6) / 12
    torch.testing.assert_close(model.mean, x.double().mean(0))
    torch.testing.assert_close(model.covariance(), expected if covariance == "full" else expected.diagonal())
    before = model.scatter.clone()
    model.train().loss(Batch(x))  # a loss observes nothing
    assert torch.equal(model.scatter, before)


@pytest.mark.parametrize("levels", [2, 5])
def test_diagonal_masses_sum_to_one(levels):
    model = fitted(
        DataSpec((1, 1, 3), levels), correlated_levels(300, 3, levels).view(-1, 1, 1, 3), covariance="diagonal"
    )
    everything = torch.tensor(list(itertools.product(range(levels), repeat=3)), dtype=torch.uint8).view(-1, 1, 1, 3)
    assert model.likelihood == Likelihood.EXACT
    assert model.log_prob(everything).double().exp().sum() == pytest.approx(1, abs=1e-5)


def test_diagonal_mass_far_in_the_upper_tail_stays_exact():
    model = Gaussian(DataSpec((1,), 256), covariance="diagonal")
    model.count.fill_(1e9), model.mean.fill_(9.5), model.scatter.fill_((4 - 1 / 12) * 1e9)  # N(10, 2^2)
    # Phi(-20) - Phi(-20.5) for the level 50, by mpmath at 50 digits.
    assert model.log_prob(torch.tensor([[50]])).item() == pytest.approx(-203.917194, abs=1e-3)


def test_full_bound_is_below_the_exact_mass_and_tightens():
    """Where the covariance happens to be diagonal, the bound can be held against the exact mass of the cells."""
    spec, x = DataSpec((2,), 4), torch.cartesian_prod(torch.arange(4), torch.arange(4)).to(torch.uint8)
    full, exact = fitted(spec, x), fitted(spec, x, covariance="diagonal")
    one, many = full.log_prob(x), full.log_prob(x, num_samples=2000)
    assert (one < exact.log_prob(x)).all()
    inner = ((x > 0) & (x < 3)).all(1)  # edge cells are open-ended in the exact mass only
    assert (one < many)[inner].all()
    torch.testing.assert_close(many[inner], exact.log_prob(x)[inner], atol=0.01, rtol=0)
    assert full.log_prob(x).exp().sum() < 1


def test_closed_form_of_one_draw_is_the_mean_over_draws():
    x = correlated_levels(400, 3, 17)
    model = fitted(DataSpec((3,), 17), x)
    factor = model._factor()
    draws = torch.stack([model._log_density(x[:4] + torch.rand(4, 3), factor) for _ in range(4000)])
    torch.testing.assert_close(model.log_prob(x[:4]), draws.mean(0).float(), atol=0.03, rtol=0)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_continuous_density_is_that_of_torch(covariance):
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(1)).cumsum(1)
    model = fitted(DataSpec((3,)), x, covariance=covariance)
    matrix = model.covariance() if covariance == "full" else model.covariance().diag()
    expected = MultivariateNormal(model.mean, matrix).log_prob(x.double())
    assert model.likelihood == Likelihood.EXACT
    torch.testing.assert_close(model.log_prob(x), expected.float())


def test_samples_have_the_moments_of_the_data():
    torch.manual_seed(0)
    x = correlated_levels(4000, 4, 256)
    samples = fitted(DataSpec((4,), 256), x).sample(20_000).double()
    torch.testing.assert_close(samples.mean(0), x.double().mean(0), atol=3.0, rtol=0)
    torch.testing.assert_close(samples.T.corrcoef(), x.double().T.corrcoef(), atol=0.05, rtol=0)


def test_an_untrained_gaussian_is_about_the_uniform():
    x = torch.randint(256, (64, 1, 8, 8))
    bits = -Gaussian(DataSpec((1, 8, 8), 256)).log_prob(x).mean() / (64 * math.log(2))
    assert 8 < bits < 8.5


def test_too_many_dimensions_for_a_full_covariance_are_refused():
    with pytest.raises(ValueError, match="at most 4096"):
        Gaussian(DataSpec((3, 64, 64), 256))


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("levels", [16, None])
def test_damaged_statistics_give_no_numbers(covariance, levels):
    """Every likelihood and every sample is NaN, which evaluation counts; nothing is raised."""
    x = correlated_levels(50, 4, 16)
    spec = DataSpec((4,), levels)
    model = fitted(spec, x if levels else x.float(), covariance=covariance)
    model.scatter.view(-1)[0] = math.nan
    assert model.log_prob(x[:3] if levels else x[:3].float()).isnan().all()
    assert model.sample(3).isnan().any(1).all()
