"""Temperature, top-p and modes: the distributions of the samples, in closed form."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from genarena.distributions import (
    Bernoulli,
    Categorical,
    DiscretisedLogistic,
    DiscretisedLogisticMixture,
    PixelDistribution,
)
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.level_choice import TopP, cut, drawing, tempered
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.samplers import DDIM
from genarena.models.flow.maf import MAF
from genarena.models.flow.nsf import NSF
from genarena.models.flow.realnvp import RealNVP
from genarena.models.keeping import draw
from genarena.models.sampler import Temperature
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec
from tests.analytic import LinearGaussian


def shaken(model: GenerativeModel, scale: float = 0.1) -> GenerativeModel:
    """With random weights everywhere, since flows start as the identity."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape))
    return model.eval()


# -- latent codes


@pytest.mark.parametrize("make", [RealNVP, MAF, NSF], ids=lambda make: make.__name__)
@torch.no_grad()
def test_the_temperature_of_a_flow_is_the_standard_deviation_of_its_base(make: type[GenerativeModel]) -> None:
    torch.manual_seed(0)
    model = shaken(make(DataSpec((2,))))
    for temperature in (0.5, 1.0, 1.7):
        model.use(Temperature(temperature))
        z = model.encode(model.sample(2000)).flatten() / temperature
        assert kstest(z.numpy(), "norm").pvalue > 1e-3
    model.use(Temperature(0.0))
    assert torch.allclose(model.encode(model.sample(5)), torch.zeros(5, 2), atol=1e-4)


@torch.no_grad()
def test_samples_of_a_linear_gaussian_vae_have_the_covariance_that_the_temperature_gives() -> None:
    """T^2 W W^T + noise^2 I of samples, T^2 W W^T of modes."""
    torch.manual_seed(0)
    world, model, num = LinearGaussian(), VAE(DataSpec((4,)), latent_dim=2, hidden=4).eval(), 100_000
    model.decoder = world.decoder()
    for sampler, noise in ((Temperature(0.6), world.noise), (Temperature(), world.noise), (Mode(1.5), 0.0)):
        model.use(sampler)
        expected = sampler.temperature**2 * world.weight @ world.weight.T + noise**2 * torch.eye(4)
        error = 5.0 * 2.0**0.5 * expected.diagonal().max() / num**0.5
        assert (model.sample(num).T.cov() - expected).abs().max() < error


# -- levels

DISTRIBUTIONS = [
    Bernoulli(torch.tensor([0.3, -2.0, 5.0]).view(3, 1, 1, 1)),
    Categorical(torch.randn(2, 7, 1, 1, 1, generator=torch.Generator().manual_seed(1))),
    DiscretisedLogistic(torch.full((1, 1, 1, 1), 0.2), torch.full((1, 1, 1, 1), -1.5), 9),
    DiscretisedLogisticMixture(
        torch.tensor([0.5, 0.0]).view(1, 2, 1, 1, 1),
        torch.tensor([-0.5, 0.7]).view(1, 2, 1, 1, 1),
        torch.full((1, 2, 1, 1, 1), -2.0),
        17,
    ),
]
EVERY = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda kind: type(kind).__name__)


@EVERY
@pytest.mark.parametrize("temperature", [0.3, 0.9, 2.0])
def test_tempered_levels_are_powers_of_the_probabilities(distribution: PixelDistribution, temperature: float) -> None:
    power = distribution.probs().pow(1.0 / temperature)
    torch.testing.assert_close(tempered(distribution, temperature).probs(), power / power.sum(1, keepdim=True))


@EVERY
@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-4])
def test_the_limit_of_no_temperature_is_the_mode(distribution: PixelDistribution, temperature: float) -> None:
    probs = distribution.probs()
    assert torch.equal(tempered(distribution, temperature).probs().float(), (probs == probs.amax(1, True)).float())


def test_equal_modes_share_the_mass() -> None:
    even = Categorical(torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1, 1))
    assert tempered(even, 0.0).probs().flatten().tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.0, [0, 0, 1, 0]),
        (0.45, [0, 0, 1, 0]),
        (0.55, [0.375, 0, 0.625, 0]),
        (0.85, [0.3 / 0.91, 0, 0.5 / 0.91, 0.11 / 0.91]),
        (0.95, [0.3, 0.09, 0.5, 0.11]),
        (1.0, [0.3, 0.09, 0.5, 0.11]),
    ],
)
def test_top_p_keeps_as_few_levels_as_have_that_mass(top_p: float, expected: list[float]) -> None:
    levels = Categorical(torch.tensor([0.3, 0.09, 0.5, 0.11]).double().log().view(1, 4, 1, 1, 1))
    torch.testing.assert_close(
        cut(levels, top_p).probs().flatten(), torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0.0
    )


def test_a_broken_level_stays_broken() -> None:
    broken = Categorical(torch.tensor([0.0, math.nan]).view(1, 2, 1, 1, 1))
    for sampler in (Temperature(0.5), Temperature(0.0), TopP(0.5)):
        assert drawing(sampler)(broken).isnan().all()


def test_the_models_own_samples_are_not_touched() -> None:
    assert drawing(Temperature()) is drawing(TopP(1.0)) is draw


def changed(p: Tensor, sampler: Temperature | TopP) -> Tensor:
    """(L,) what the sampler makes of the probabilities p (L,) of levels."""
    levels = tempered(Categorical(p.log().view(1, -1, 1, 1, 1)), sampler.temperature)
    return (cut(levels, sampler.top_p) if isinstance(sampler, TopP) else levels).probs().flatten()


@pytest.mark.parametrize(("make", "scale"), [(MADE, 0.5), (PixelCNN, 0.1), (ImageGPT, 0.2)])
@torch.no_grad()
def test_frequencies_of_a_model_of_two_pixels(make: type[GenerativeModel], scale: float) -> None:
    """q(x_1, x_2) = t(p(x_1)) t(p(x_2 | x_1)), where t tempers and cuts."""
    torch.manual_seed(2)
    model, num = shaken(make(DataSpec((1, 1, 2), 3)), scale), 5_000
    world = torch.cartesian_prod(torch.arange(3), torch.arange(3)).to(torch.uint8).view(9, 1, 1, 2)
    joint = model.log_prob(world).double().exp().view(3, 3)
    first, second = joint.sum(1), joint / joint.sum(1, keepdim=True)
    for sampler in (Temperature(0.5), Temperature(3.0), TopP(0.6, 2.0), Temperature(0.0)):
        model.use(sampler)
        rows = [weight * changed(row, sampler) for weight, row in zip(changed(first, sampler), second, strict=True)]
        expected = torch.stack(rows)
        drawn = model.sample(num).flatten(1).long() @ torch.tensor([3, 1])
        shares = torch.bincount(drawn, minlength=9).view(3, 3) / num
        chance = (2.0 * expected * (1.0 - expected) / (math.pi * num)).sqrt().sum()
        assert (expected - joint).abs().sum() > 4.0 * chance + 0.1
        assert (shares - expected).abs().sum() <= 2.0 * chance, "twice what chance gives"


# -- what does not fit


def test_samplers_that_do_not_fit_are_refused() -> None:
    flow, made = RealNVP(DataSpec((2,))), MADE(DataSpec((2,)), hidden=(4,))
    for sampler in (TopP(), Mode(), DDIM()):
        with pytest.raises(ValueError, match="does not fit RealNVP"):
            flow.use(sampler)
    made.use(TopP(1.0))
    for sampler in (Temperature(0.5), TopP()):
        with pytest.raises(ValueError, match="vectors of floats at temperature=1"):
            made.use(sampler)
    for options in ({"temperature": -1.0}, {"temperature": "warm"}):
        with pytest.raises(ValueError, match="temperature"):
            Temperature(**options)
    with pytest.raises(ValueError, match="top_p"):
        TopP(1.5)
