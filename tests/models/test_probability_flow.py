"""The probability flow against densities that are known in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.schedules import PREDICTIONS
from genarena.spec import DataSpec
from genarena.statistics.ode import EXACT_DIMS, log_density
from tests.models.tiny import NARROW

TIMES = (0.02, 1.55)


class GaussianFlow:
    """The velocity of data N(m, C) in the angle: v = (a x - E[x_0 | x]) / s, and where it takes a point."""

    def __init__(self, dims: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.mean = torch.randn(dims, generator=generator, dtype=torch.float64)
        factor = torch.randn(dims, dims, generator=generator, dtype=torch.float64) / dims**0.5
        self.eigenvalues, self.basis = torch.linalg.eigh(factor @ factor.T + 0.1 * torch.eye(dims))

    def velocity(self, x: Tensor, angle: float) -> Tensor:
        a, s = math.cos(angle), math.sin(angle)
        gain = a * self.eigenvalues / (a**2 * self.eigenvalues + s**2)
        x_0 = self.mean + ((x - a * self.mean) @ self.basis * gain) @ self.basis.T
        return (a * x - x_0) / s

    def variances(self, angle: float) -> Tensor:
        """Of the marginal along the basis; its mean is cos(angle) m."""
        return math.cos(angle) ** 2 * self.eigenvalues + math.sin(angle) ** 2

    def log_prob(self, x: Tensor) -> Tensor:
        """Of the pull-back of N(0, I): the flow scales each axis of the basis by the ratio of the marginals' deviations."""
        scale = (self.variances(TIMES[1]) / self.variances(TIMES[0])).sqrt()
        end = math.cos(TIMES[1]) * self.mean @ self.basis + (x - math.cos(TIMES[0]) * self.mean) @ self.basis * scale
        return -0.5 * (end.square() + math.log(2.0 * math.pi)).sum(1) + scale.log().sum()


def test_a_gaussian_is_exact_to_the_tolerance_of_the_solver() -> None:
    torch.manual_seed(0)
    flow = GaussianFlow(3)
    x = torch.randn(20, 3, dtype=torch.float64) + flow.mean
    exact, errors, evaluations = flow.log_prob(x), [], []
    for tolerance in (1e-3, 1e-5, 1e-9):
        result = log_density(flow.velocity, x, TIMES, tolerance, num_probes=1)
        errors.append((result.log_prob - exact).abs().max().item())
        evaluations.append(result.facts["nfe"])
    assert errors[2] < 1e-7 < errors[1] < 1e-3 < 10 * errors[0]
    assert evaluations == sorted(set(evaluations))
    assert (result.facts["trace"], result.facts["trace_probes"]) == ("exact", None)


def test_hutchinson_is_unbiased_and_steadier_with_more_probes() -> None:
    torch.manual_seed(0)
    flow = GaussianFlow(EXACT_DIMS + 2)
    x = torch.randn(1, EXACT_DIMS + 2, dtype=torch.float64)
    exact, spread = flow.log_prob(x).item(), []
    for num_probes in (1, 8):
        result = log_density(flow.velocity, x.expand(500, -1), TIMES, 1e-5, num_probes)
        error = result.log_prob - exact
        spread.append(error.std().item())
        assert abs(error.mean()) < 4.0 * spread[-1] / 500**0.5
        assert (result.facts["trace"], result.facts["trace_probes"]) == ("hutchinson", num_probes)
    assert spread[0] > 0.1  # the Jacobian is not diagonal, so there is something to average
    assert 0.25 < spread[1] / spread[0] < 0.45  # 8^(-1/2) = 0.354


def test_a_velocity_that_breaks_gives_nan_and_ends() -> None:
    result = log_density(lambda x, time: x * (math.nan if time > 0.5 else 1.0), torch.ones(2, 1), (0.0, 1.0), 1e-5, 1)
    assert result.log_prob.isnan().all()


class Oracle(nn.Module):
    """The best prediction of the given kind, at any time, from E[x_0 | x] as a function of x, a and s."""

    def __init__(self, model: DDPM, posterior_mean) -> None:
        super().__init__()
        self.angles, self.prediction, self.posterior_mean = model.schedule.angles, model.prediction, posterior_mean

    def forward(self, x: Tensor, t: Tensor, context: None) -> Tensor:
        step = t.double().numpy() * (len(self.angles) - 1)
        angle = torch.from_numpy(np.interp(step, np.arange(len(self.angles)), self.angles))
        a, s = (part.view(-1, *[1] * (x.dim() - 1)) for part in (angle.cos(), angle.sin()))
        x_0 = self.posterior_mean(x.double(), a, s)
        return PREDICTIONS[self.prediction][0](x_0, (x - a * x_0) / s, a, s).float()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("prediction", ["v", "eps", "x"])
@torch.no_grad()
def test_ddpm_with_the_score_of_a_gaussian_gives_its_density(schedule: str, prediction: str) -> None:
    """Data N(0, 0.5^2 I) in two dimensions, on the model's own schedule, whatever the network predicts."""
    torch.manual_seed(0)
    model = DDPM(DataSpec((2,)), schedule=schedule, prediction=prediction).eval()
    model.network = Oracle(model, lambda x, a, s: 0.25 * a * x / (0.25 * a**2 + s**2))
    model.fixed_share = 0.0
    x = 0.5 * torch.randn(30, 2)
    values, facts = model.ode_log_prob(x, 1e-6, 1, "model")
    deviation = math.sqrt(0.25 * model.schedule.alpha_bar[1] + 1.0 - model.schedule.alpha_bar[1])
    exact = torch.distributions.Normal(0.0, deviation).log_prob(x).sum(1).double()
    torch.testing.assert_close(values, exact, atol=2e-3, rtol=0)  # float32; N(0, I) is within 1e-4 of the last marginal
    assert facts["tolerance"] == 1e-6 and "dequantisation" not in facts


@torch.no_grad()
def test_masses_of_levels_are_bounded_and_the_models_own_noise_is_tighter() -> None:
    """With the best denoiser of known masses, E[bound] is just below log P(x); uniform noise loses much more."""
    torch.manual_seed(0)
    mass = torch.tensor([0.7, 0.1, 0.2], dtype=torch.float64)
    values = torch.linspace(-1, 1, 3, dtype=torch.float64)

    def posterior_mean(x: Tensor, a: Tensor, s: Tensor) -> Tensor:
        logits = mass.log() - (x[..., None] - a[..., None] * values).square() / (2.0 * s[..., None] ** 2)
        return (logits.softmax(-1) * values).sum(-1)

    model = DDPM(DataSpec((1, 1, 1), 3), variance="posterior", net=NARROW).eval()
    model.network = Oracle(model, posterior_mean)
    x = torch.multinomial(mass, 200, True).to(torch.uint8).view(-1, 1, 1, 1)
    exact, gaps = mass.log()[x.flatten().long()], {}
    for dequantisation, num in (("model", 200), ("uniform", 3)):
        bound, facts = model.ode_log_prob(x[:num], 1e-4, 1, dequantisation)
        gaps[dequantisation] = exact[:num] - bound
        assert facts["dequantisation"] == dequantisation
    own = gaps["model"]
    assert -4.0 * own.std() / 200**0.5 < own.mean() < 0.002
    assert gaps["uniform"].mean() > 1.0  # p_1 is three spikes, and uniform noise lands between them
    with pytest.raises(ValueError, match="dequantisation='gauss': expected one of model, uniform"):
        model.ode_log_prob(x, 1e-5, 1, "gauss")


@torch.no_grad()
def test_uniform_noise_is_right_where_the_density_is_smooth() -> None:
    """Levels of a fine grid, rounded from N(0, 0.3^2): the mean over the bin of the log-density is within 1e-3 of the mass."""
    torch.manual_seed(0)
    model = DDPM(DataSpec((1, 1, 1), 256), variance="posterior", net=NARROW).eval()
    model.network = Oracle(model, lambda x, a, s: 0.09 * a * x / (0.09 * a**2 + s**2))
    x = torch.arange(64, 192, dtype=torch.uint8).view(-1, 1, 1, 1)
    values, _ = model.ode_log_prob(x, 1e-6, 1, "uniform")
    normal = torch.distributions.Normal(0.0, 0.3)
    edges = (torch.arange(64, 193).double() - 0.5) * (2.0 / 255) - 1.0
    exact = normal.cdf(edges).diff().log()
    torch.testing.assert_close(values.mean(), exact.mean(), atol=5e-3, rtol=0)
