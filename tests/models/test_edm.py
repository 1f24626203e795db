import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.paths import PATHS, Level, levels
from genarena.models.diffusion.preconditioning import preconditioning
from genarena.spec import Batch, DataSpec
from tests.analytic import Mixture, Normal
from tests.models.labelled import WORLD, BestDenoiser, data, pulled_back


class Zero(nn.Module):
    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


def best(dims: int = 2, world: Normal = WORLD, **options) -> EDM:
    torch.manual_seed(0)
    return EDM(DataSpec((dims,)), net=lambda *sizes: BestDenoiser(world), **options).eval()


def test_preconditioning_is_that_of_the_paper() -> None:
    """Table 1: inputs and targets of unit variance, for data of the variance sigma_data^2; lambda c_out^2 = 1."""
    model = EDM(DataSpec((1,)), net=lambda *sizes: Zero(), sigma_data=0.7)
    sigma = torch.tensor([0.002, 0.1, 1.0, 80.0], dtype=torch.float64)
    c_skip, c_out, c_in = preconditioning(torch.ones_like(sigma), sigma, model.sigma_data)
    weight = (sigma**2 + 0.7**2) / (sigma * 0.7) ** 2
    torch.testing.assert_close(weight * c_out**2, torch.ones_like(sigma))
    torch.testing.assert_close(c_in**2 * (sigma**2 + 0.7**2), torch.ones_like(sigma))
    target_variance = ((1.0 - c_skip) ** 2 * 0.7**2 + c_skip**2 * sigma**2) / c_out**2
    torch.testing.assert_close(target_variance, torch.ones_like(sigma))
    x = torch.randn(4, 1, dtype=torch.float64)
    found = [model.denoised(row[None], Level(1.0, s)).x_0[0] for row, s in zip(x, sigma.tolist(), strict=True)]
    torch.testing.assert_close(torch.stack(found), c_skip[:, None] * x, rtol=1e-5, atol=1e-7)  # F = 0


@torch.no_grad()
def test_the_least_loss_is_that_of_the_posterior_mean() -> None:
    """E over sigma of lambda c^2 sigma^2 / (c^2 + sigma^2), by a sum over quantiles of the log-normal."""
    model = best()
    loss = model.loss(Batch(data(400_000)))["loss"].item()
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    sigma = (-1.2 + 1.2 * torch.special.ndtri(u)).exp()
    weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
    expected = (weight * WORLD.spread**2 * sigma**2 / (WORLD.spread**2 + sigma**2)).mean().item()
    assert loss == pytest.approx(expected, rel=0.01)
    logs = model.network.seen[0].log()
    assert logs.mean().item() == pytest.approx(-1.2, abs=1e-3) and logs.std().item() == pytest.approx(1.2, abs=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", PATHS)
def test_denoises_on_every_path(name: str) -> None:
    model, x = best(), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    for t in (0.2, 0.6, 0.95):
        level = PATHS[name](t)
        torch.testing.assert_close(
            model.denoised(x * level.s, level).x_0, WORLD.denoise(x * level.s, level).x_0, rtol=1e-3, atol=1e-4
        )


@torch.no_grad()
def test_denoise_goes_from_the_data_to_80() -> None:
    model, x, t = best(), torch.tensor([[0.3, -1.0], [2.0, 0.7], [50.0, -90.0]]), torch.tensor([0.0, 0.5, 1.0])
    a, s = model.marginal(t)
    assert (a == 1.0).all() and s.tolist() == pytest.approx([0.0, 80.0 / 2**7, 80.0])
    expected = [WORLD.denoise(row, Level(1.0, sigma)).x_0 for row, sigma in zip(x, s.tolist(), strict=True)]
    torch.testing.assert_close(model.denoise(x, t), torch.stack(expected), rtol=1e-4, atol=1e-4)


# -- the sampler ----------------------------------------------------------------------------------------------------------


def test_noise_levels_are_those_of_the_paper() -> None:
    """Eq. 5 with 18 steps, which take 35 evaluations."""
    sampler = EDMHeun()
    found = sampler.levels(lambda num_steps: [], None)
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    expected = [(high + i / 17 * (low - high)) ** 7 for i in range(18)] + [0.0]
    assert [level.s for level in found] == pytest.approx(expected) and {level.a for level in found} == {1.0}
    assert sampler.evaluations(None) == 35
    with pytest.raises(ValueError, match="sampler.sigma_min=90: expected less than sigma_max, 80"):
        EDMHeun(sigma_min=90.0)
    with pytest.raises(ValueError, match="sampler.churn_min=5: expected at most churn_max, 1"):
        EDMHeun(churn=10.0, churn_min=5.0, churn_max=1.0)


@pytest.mark.parametrize("world", [Normal(), Mixture()], ids=["normal", "mixture"])
def test_order_of_convergence_is_two(world) -> None:
    """Between two noise levels that stay, even in sigma^(1 / 7)."""
    error = []
    for num in (80, 160):
        path = [PATHS["edm"](0.9 - 0.6 * k / num) for k in range(num + 1)]
        x = path[0].s * torch.linspace(-2, 2, 9, dtype=torch.float64)
        error.append((EDMHeun()(world.denoise, x, path) - world.flow(x, path[0], path[-1])).abs().max().item())
    assert math.log2(error[0] / error[1]) == pytest.approx(2.0, abs=0.3)


def test_deterministic_steps_are_algorithm_1() -> None:
    """Written out for three steps, the last one to zero noise."""
    sigma, x = [3.0, 1.0, 0.2, 0.0], torch.tensor([1.0, -4.0], dtype=torch.float64)
    expected = x
    for now, then in itertools.pairwise(sigma):
        d = (expected - WORLD.denoise(expected, Level(1.0, now)).x_0) / now
        trial = expected + (then - now) * d
        if then:
            d_then = (trial - WORLD.denoise(trial, Level(1.0, then)).x_0) / then
            trial = expected + (then - now) * (0.5 * d + 0.5 * d_then)
        expected = trial
    torch.testing.assert_close(EDMHeun()(WORLD.denoise, x, [Level(1.0, s) for s in sigma]), expected)


@pytest.mark.parametrize("churn", [0.0, 10.0, 60.0])
def test_churn_with_the_exact_denoiser_keeps_the_gaussian(churn: float) -> None:
    torch.manual_seed(0)
    sampler = EDMHeun(nfe=199, churn=churn, churn_min=0.05, churn_max=50.0)
    path = sampler.levels(lambda num_steps: [], None)
    x = sampler(WORLD.denoise, 80.0 * torch.randn(20_000), path)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=0.03)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.02)


def test_churn_adds_the_noise_of_algorithm_2_where_it_is_asked_for() -> None:
    """S_churn / N, at most sqrt(2) - 1, only between the two limits; the factor on the noise changes x, not the level."""
    seen = []

    def denoise(x: Tensor, level: Level):
        seen.append((level.s, x.std().item()))
        return WORLD.denoise(x, level)

    path = [Level(1.0, s) for s in (10.0, 1.0, 0.1, 0.0)]
    for churn, gamma in ((0.6, 0.2), (30.0, math.sqrt(2.0) - 1.0)):
        torch.manual_seed(0)
        seen.clear()
        sampler = EDMHeun(churn=churn, churn_min=0.5, churn_max=5.0, churn_noise=2.0)
        sampler(denoise, torch.zeros(100_000), path)
        steps = [s for s, _ in seen]
        assert steps == pytest.approx([10.0, 1.0, 1.0 + gamma, 0.1, 0.1])
        assert seen[1][1] == pytest.approx(0.0, abs=1e-6)
        assert seen[2][1] == pytest.approx(2.0 * math.sqrt((1.0 + gamma) ** 2 - 1.0), rel=0.02)


def test_levels_of_the_model_end_at_the_data() -> None:
    found = best().levels(5)
    assert found == levels(PATHS["edm"], 5) and len(found) == 6 and found[-1] == Level(1.0, 0.0)


# -- the likelihood ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_velocity_is_the_probability_flow_in_other_coordinates() -> None:
    """z = c_in x, sigma = sigma_data tan(phi): dz / dphi from dx / dsigma = (x - D) / sigma and the chain rule."""
    model, x = best(), torch.tensor([[0.3, -1.0], [2.0, 0.7]], dtype=torch.float64)
    for phi in (0.1, 0.8, 1.5):
        sigma = 0.5 * math.tan(phi)
        c_in = 1.0 / math.hypot(sigma, 0.5)
        d_sigma = 0.5 / math.cos(phi) ** 2
        slope = (x - WORLD.denoise(x, Level(1.0, sigma)).x_0) / sigma
        expected = (c_in * slope - sigma * c_in**3 * x) * d_sigma
        found = model.velocity((c_in * x).float(), phi).double()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("dims", [1, 3])
def test_likelihood_of_the_best_denoiser_is_the_gaussians(dims: int) -> None:
    """N(0, I) is within (0.4 / 80)^2 and (0.8^2 - 0.5^2) / 80^2 of the last marginal."""
    model, x = best(dims), data(20, dims)
    found, facts = model.ode_log_prob(x, 1e-6, 1, "uniform")
    exact = torch.distributions.Normal(WORLD.mean, WORLD.spread).log_prob(x).sum(1).double()
    torch.testing.assert_close(found, exact, rtol=0, atol=0.02)
    assert facts["trace"] == "exact" and "dequantisation" not in facts
    torch.testing.assert_close(found, pulled_back(x, torch.tensor(WORLD.mean)), rtol=0, atol=1e-3)
