"""Elliptical slices against the exact posterior of linear decoders."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genarena.distributions import Bernoulli, Categorical, DiscretisedLogistic, DiscretisedLogisticMixture
from genarena.models.gan.dcgan import DCGAN
from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.decoders import decoder_of
from genarena.tasks.posterior.elliptical_slice import EllipticalSlice
from genarena.tasks.posterior.measured import moments
from tests.tasks.ppca import HALF, PPCA, SIZE, Line, Linear, Normal, asked
from tests.tasks.world import relative_w2

NUM = 2000  # a mean is off by .02 standard deviations by chance


def errors(x: Tensor, world: Line, m: Tensor, sigma: float) -> tuple[float, float]:
    """Largest error of a mean, in standard deviations of the posterior, and the mean ratio of variances; of what is hidden."""
    mean, covariance = world.given(m, world.draw()[0], sigma)
    deviation = covariance.diagonal().sqrt()
    return (
        ((x.mean(0) - mean) / deviation)[~m].abs().max().item(),
        (x.var(0) / deviation**2)[~m].mean().item(),
    )


def test_the_chain_reaches_the_posterior_of_a_noisy_decoder() -> None:
    """With 5 steps it does not, with 20 nearly (measured with 4,000 lanes: .16 and 3.1, .02 and 1.04, .02 and 1.00)."""
    world, found = PPCA(), {}
    for steps in (5, 20, 60):
        made = EllipticalSlice(num_steps=steps, anneal=0.0).draw(world, asked(world, 0.1, NUM))
        found[steps] = errors(made.x, world, HALF, 0.1)
        assert 3.5 < made.nfe / steps < 6.0
    assert found[5][1] > 1.5
    assert found[20][0] < 0.1
    assert found[60][0] < 0.07
    assert found[60][1] == pytest.approx(1.0, abs=0.08)
    made = EllipticalSlice(num_steps=60).draw(world, asked(world, 0.1, NUM))
    mean, covariance = world.given(HALF, world.draw()[0], 0.1)
    assert relative_w2(made.x, mean, covariance) < 0.06, "annealing, and what is measured, drawn too"


@pytest.mark.parametrize("bijective", [False, True])
def test_the_floor_is_noise_of_a_deterministic_decoder(bijective: bool) -> None:
    """It acts as a larger sigma; a bijection of floats has none."""
    world, sigma = Linear(bijective), 0.3
    made = EllipticalSlice(num_steps=40, floor=0.4).draw(world, asked(world, sigma, NUM))
    effective = sigma if bijective else 0.5
    mean, covariance = world.given(HALF, world.draw()[0], effective)
    assert made.facts["effective_noise"].unique().item() == pytest.approx(effective)
    gap = relative_w2(made.x, mean, covariance + 1e-9 * torch.eye(SIZE))
    assert gap < 0.07


def test_nothing_measured_is_the_prior() -> None:
    for world in (PPCA(), Linear()):
        made = EllipticalSlice(num_steps=3).draw(world, asked(world, 0.1, NUM, torch.zeros_like(HALF)))
        assert relative_w2(made.x, world.mean, world.covariance() + 1e-9 * torch.eye(SIZE)) < 0.05


def test_units_of_the_data_change_nothing() -> None:
    """Twice the data, sigma and floor: twice the draw, from the same noise."""
    world, double = Linear(), Linear()
    double.w, double.mean = 2 * world.w, 2 * world.mean
    once = asked(world, 0.1, 50)
    x = EllipticalSlice(num_steps=30).draw(world, once).x
    twice = replace(asked(world, 0.2, 50), y=2 * once.y)
    assert torch.allclose(EllipticalSlice(num_steps=30, floor=0.1).draw(double, twice).x, 2 * x)


SPEC = DataSpec((1, 8, 8), 17)


def images(num: int, sigma: float = 0.1) -> Problem:
    generator = torch.Generator().manual_seed(0)
    m = torch.rand(num, 1, 8, 8, generator=generator) < 0.5
    m[3:4] = False
    levels = torch.randint(0, 17, m.shape, generator=generator)
    y = (levels / 8 - 1 + sigma * torch.randn(m.shape, generator=generator)) * m
    return Problem(Mask(m), y, sigma, Noise.of([(k,) for k in range(num)]))


@pytest.mark.parametrize(("make", "sigma"), [(VAE, 0.1), (VAE, 0.0), (DCGAN, 0.1)])
@torch.no_grad()
def test_a_lane_is_the_same_alone_and_in_a_batch(make: type, sigma: float) -> None:
    """Of lane 3 nothing is measured."""
    torch.manual_seed(0)
    model = make(SPEC).eval()
    together = EllipticalSlice(num_steps=6).draw(model, images(16, sigma))
    for lane in (3, 11):
        alone = EllipticalSlice(num_steps=6).draw(model, images(16, sigma).rows(slice(lane, lane + 1)))
        torch.testing.assert_close(alone.x[0], together.x[lane], atol=1e-4, rtol=1e-4)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        EllipticalSlice(num_steps=6).draw(model, images(16, sigma).rows(order)).x,
        together.x[order],
        atol=1e-4,
        rtol=1e-4,
    )


@torch.no_grad()
def test_all_measured_without_noise_is_the_data() -> None:
    torch.manual_seed(0)
    model, levels = VAE(SPEC).eval(), torch.randint(0, 17, (3, 1, 8, 8)).float()
    y = levels / 8 - 1
    problem = Problem(Mask(torch.ones(1, 1, 8, 8)), y, 0.0, Noise.of([(k,) for k in range(3)]))
    assert torch.allclose(EllipticalSlice(num_steps=4).draw(model, problem).x, y, atol=1e-6)


def test_moments_are_those_of_the_levels() -> None:
    torch.manual_seed(0)
    shape, levels = (40, 1, 2, 3), 64
    wide, place = 0.3 * torch.randn(shape) - 2.0, 0.7 * torch.randn(shape)
    mixture = DiscretisedLogisticMixture(
        torch.randn(40, 3, 1, 2, 3), 0.7 * torch.randn(40, 3, 1, 2, 3), 0.3 * torch.randn(40, 3, 1, 2, 3) - 2.0, levels
    )
    for made, exact in (
        (Bernoulli(torch.randn(shape)), True),
        (Categorical(torch.randn(40, 5, 1, 2, 3)), True),
        (DiscretisedLogistic(place, wide, levels), False),
        (mixture, False),
    ):
        masses = made.probs()
        values = torch.linspace(-1, 1, masses.shape[1], dtype=torch.float64).view(1, -1, 1, 1, 1)
        mean = (masses * values).sum(1)
        variance = (masses * (values - mean[:, None]) ** 2).sum(1)
        found = moments(made)
        assert (found[0] - mean).abs().max() < (1e-6 if exact else 0.5 * 2 / 63), "half a level"
        assert ((found[1] - variance).abs() < (1e-6 if exact else 0.1 * variance + 0.005)).all()


class Humps(PPCA):
    """p(x|z): 64 levels with masses like a Gaussian of mean z and standard deviation e^w, at 8 x 8 pixels; z, w two codes."""

    latent_dim, spec = 2, DataSpec((1, 8, 8), 64)

    def prior(self, y: None, num: int) -> Normal:
        return Normal(*torch.zeros(2, num, 2))

    def likelihood_of(self, z: Tensor, y: None = None) -> Categorical:
        levels = torch.linspace(-1, 1, 64)
        off = (levels - 0.2 * z[:, :1]) / (0.2 * z[:, 1:]).exp() / 0.15
        return Categorical((-0.5 * off**2)[:, :, None, None, None].expand(-1, -1, 1, 8, 8))


@torch.no_grad()
def test_levels_are_summed_if_they_are_few_and_moments_agree_where_masses_are_gaussian() -> None:
    problem = images(1).rows(torch.zeros(60, dtype=torch.int64))
    problem = replace(problem, y=0.5 * problem.y)
    decoder, lanes = decoder_of(Humps(), problem, 0.0), torch.arange(60)
    assert not decoder.exact
    z, sigma = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), torch.full((60,), 0.1)
    near = decoder.log_likelihood(z, lanes, sigma)
    decoder.exact = True
    summed = decoder.log_likelihood(z, lanes, sigma)
    masses, y, m = decoder.model.likelihood_of(z).probs(), problem.y, problem.operator.observed
    levels = torch.linspace(-1, 1, 64, dtype=torch.float64).view(1, -1, 1, 1, 1)
    by_hand = (masses * (-0.5 * ((y[:, None] - levels) / 0.1) ** 2).exp()).sum(1).log()
    torch.testing.assert_close(summed.double(), torch.where(m, by_hand, 0.0).flatten(1).sum(1), rtol=1e-5, atol=1e-4)
    gap = near - summed
    assert gap.std() < 0.02 * summed.std()
