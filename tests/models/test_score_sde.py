"""The three processes of `score_sde`: their marginals, losses, samples and likelihoods in a Gaussian world."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.paths import PATHS, Level
from genarena.models.diffusion.predictor_corrector import PredictorCorrector
from genarena.models.diffusion.samplers import Ancestral, DPMSolver
from genarena.models.diffusion.score_sde import ScoreSDE
from genarena.models.diffusion.times import column
from genarena.spec import Batch, DataSpec
from tests.analytic import Normal

WORLD, PLANE = Normal(0.4, 0.8), DataSpec((2,))
SDES = pytest.mark.parametrize("sde", ["vp", "sub_vp", "ve"])


class BestNoise(nn.Module):
    """E[eps | z] for data N(mean, spread^2) in each dimension, told only the time of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model: list[ScoreSDE] = []

    def forward(self, z: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        phi = column(self.model[0].sde.sigma(t.double()).atan(), z)
        variance = phi.cos().square() * WORLD.spread**2 + phi.sin().square()
        return (phi.sin() / variance * (z - phi.cos() * WORLD.mean)).float()


def best(**options) -> ScoreSDE:
    torch.manual_seed(0)
    model = ScoreSDE(PLANE, net=lambda *sizes: BestNoise(), **options).eval()
    model.network.model.append(model)
    return model


@SDES
def test_marginals_are_those_of_the_simulated_equation(sde: str) -> None:
    """Euler-Maruyama of eq. 9, 11 and 12 from x_0 = 1.5, drift and diffusion written out."""
    torch.manual_seed(0)
    model, num_steps = ScoreSDE(PLANE, sde=sde, sigma_min=0.1, sigma_max=5.0), 500
    x = torch.full((20_000,), 1.5, dtype=torch.float64)
    x = x + (0.1 if sde == "ve" else 0.0) * torch.randn_like(x)
    for k in range(int(0.6 * num_steps)):
        t = (k + 0.5) / num_steps
        beta, integral = 0.1 + 19.9 * t, 0.1 * t + 0.5 * 19.9 * t**2
        drift, square = {
            "vp": (-0.5 * beta, beta),
            "sub_vp": (-0.5 * beta, beta * (1.0 - math.exp(-2.0 * integral))),
            "ve": (0.0, 2.0 * math.log(50.0) * (0.1 * 50.0**t) ** 2),
        }[sde]
        x = x + drift * x / num_steps + math.sqrt(square / num_steps) * torch.randn_like(x)
    a, s = model.marginal(torch.tensor([0.6], dtype=torch.float64))
    assert x.mean().item() == pytest.approx(1.5 * a.item(), abs=5 * s.item() / math.sqrt(20_000) + 0.005)
    assert x.std().item() == pytest.approx(s.item(), rel=0.03)


@SDES
def test_time_and_noise_belong_together(sde: str) -> None:
    model, t = ScoreSDE(PLANE, sde=sde), torch.linspace(0.001, 1.0, 20, dtype=torch.float64)
    torch.testing.assert_close(model.time_of(model.sde.sigma(t)), t)
    path = {"vp": "linear", "ve": "exploding"}.get(sde)
    if path:
        ends = {"least": 0.02, "most": 100.0} if sde == "ve" else {}
        expected = torch.tensor([PATHS[path](time, **ends) for time in t.tolist()], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(model.marginal(t), 1), expected)


@torch.no_grad()
@SDES
@pytest.mark.parametrize("weighting", ["sigma", "likelihood"])
def test_the_least_loss_is_the_mean_posterior_variance_of_the_noise(sde: str, weighting: str) -> None:
    """Var[eps | x_t] = c^2 / (c^2 + sigma^2), by a sum over even times, weighed by g^2 / s^2 = d(ln sigma^2) / dt."""
    model = best(sde=sde, weighting=weighting)
    found = model.loss(Batch(WORLD.mean + WORLD.spread * torch.randn(200_000, 2)))["loss"].item()
    ends = model.sde.time(torch.tensor(model.ends_of_sigma, dtype=torch.float64))
    t = torch.logspace(*ends.log10().tolist(), 100_000, dtype=torch.float64)  # even in ln t, which needs the weight t
    sigma = model.sde.sigma(t)
    rate = torch.ones_like(t) if weighting == "sigma" else torch.gradient(sigma.log(), spacing=(t,))[0]
    variance = WORLD.spread**2 / (WORLD.spread**2 + sigma**2)
    assert found == pytest.approx(((rate * t * variance).sum() / (rate * t).sum()).item(), rel=0.01)


@torch.no_grad()
@SDES
@pytest.mark.parametrize("name", PATHS)
def test_denoises_on_every_path(sde: str, name: str) -> None:
    model, x = best(sde=sde), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    for t in (0.2, 0.6, 0.95):
        level = PATHS[name](t)
        expected = WORLD.denoise(x * level.s, level).x_0
        torch.testing.assert_close(model.denoised(x * level.s, level).x_0, expected, rtol=2e-3, atol=2e-3)
    level = model._level(0.7)
    torch.testing.assert_close(
        model.denoise(x, torch.full((4,), 0.7)), WORLD.denoise(x, level).x_0, rtol=1e-3, atol=1e-3
    )
    noise = model.denoised(x, Level(0.0, 1.0)).x_0  # more than in training: that of the most noise
    assert (noise - WORLD.mean).abs().max() < 0.05


@torch.no_grad()
@SDES
@pytest.mark.parametrize("sampler", [Ancestral(nfe=250), PredictorCorrector(nfe=300, snr=0.05), DPMSolver(nfe=40)])
def test_reverse_sde_and_ode_end_in_the_gaussian(sde: str, sampler) -> None:
    x = best(sde=sde, sampler=sampler).sample(4_000)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=0.04)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.03)


@torch.no_grad()
@SDES
def test_likelihood_of_the_best_noise_is_the_gaussians(sde: str) -> None:
    model, x = best(sde=sde), WORLD.mean + WORLD.spread * torch.randn(20, 2)
    found, facts = model.ode_log_prob(x, 1e-6, 1, "uniform")
    least, most = model.ends_of_sigma
    # x is taken for z / cos(phi) at the least noise, and the last marginal for N(0, I)
    start, end = (math.hypot(math.cos(math.atan(e)) * WORLD.spread, math.sin(math.atan(e))) for e in (least, most))
    z = (math.cos(math.atan(least)) * (x.double() - WORLD.mean)) / start
    last = z * end + math.cos(math.atan(most)) * WORLD.mean
    slope = math.log(end * math.cos(math.atan(least)) / start)
    exact = (torch.distributions.Normal(0.0, 1.0).log_prob(last) + slope).sum(1)
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-3)
    gaussian = torch.distributions.Normal(WORLD.mean, WORLD.spread).log_prob(x.double()).sum(1)
    torch.testing.assert_close(found, gaussian, rtol=0, atol=0.05)
    assert facts["trace"] == "exact"


def test_ten_levels_of_training_are_geometric() -> None:
    model = ScoreSDE(PLANE, sde="ve", sigma_min=0.02, sigma_max=2.0, num_levels=10, sampler=Ancestral(nfe=10))
    torch.manual_seed(0)
    found = model.training_sigmas(10_000).unique()
    torch.testing.assert_close(found, torch.logspace(math.log10(0.02), math.log10(2.0), 10), rtol=1e-3, atol=0)
    visited = [level.s for level in model.levels(10)]
    assert visited[:-1] == pytest.approx(found.flip(0).tolist(), rel=1e-3) and visited[-1] == 0.0


@pytest.mark.parametrize("sde", ["vp", "ve"])
@pytest.mark.parametrize("weighting", ["sigma", "likelihood"])
def test_samplers_visit_levels_of_training_alone(sde: str, weighting: str) -> None:
    model = ScoreSDE(PLANE, sde=sde, weighting=weighting, num_levels=10, sampler=Ancestral(nfe=10))
    trained = model.training_sigmas(1_000).unique().double()
    for num_steps in (1, 4, 10):
        *visited, last = model.levels(num_steps)
        sigmas = torch.tensor([level.sigma for level in visited], dtype=torch.float64)
        assert len(sigmas.unique()) == num_steps and last == Level(1.0, 0.0)
        assert ((sigmas[:, None] / trained - 1.0).abs().amin(1) < 1e-3).all() and sigmas[0] == sigmas.max()


def test_more_levels_than_those_of_training_are_refused() -> None:
    for sampler, nfe in ((PredictorCorrector(predictor="none", corrections=10), 100), (Ancestral(), 10)):
        ScoreSDE(PLANE, num_levels=10, sampler=dataclasses.replace(sampler, nfe=nfe))
        with pytest.raises(ValueError, match=rf"^sampler.nfe={nfe + 10}: expected at most {nfe}, for a schedule of 10"):
            ScoreSDE(PLANE, num_levels=10, sampler=dataclasses.replace(sampler, nfe=nfe + 10))
    assert ScoreSDE(PLANE, num_levels=10, sampler=Ancestral(nfe=None)).nfe == 10


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma_min=3: expected less than sigma_max, 2"):
        ScoreSDE(PLANE, sde="ve", sigma_min=3.0, sigma_max=2.0)
    with pytest.raises(ValueError, match="num_levels=1: expected at least 2"):
        ScoreSDE(PLANE, num_levels=1)
