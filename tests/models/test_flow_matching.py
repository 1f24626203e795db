import math

import pytest
import torch

from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.paths import PATHS, Level, straight
from genarena.models.diffusion.samplers import DDIM, Ancestral, Heun
from genarena.spec import Batch, DataSpec
from tests.analytic import Normal
from tests.models.labelled import WORLD, BestVelocity, data

PLANE = DataSpec((2,))


def best(spec: DataSpec = PLANE, bias: float = 0.0, world: Normal = WORLD, **options) -> FlowMatching:
    torch.manual_seed(0)
    return FlowMatching(spec, net=lambda *sizes: BestVelocity(world, bias), **options).eval()


@torch.no_grad()
@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_the_least_loss_is_pi_c_over_2_and_a_bias_adds_its_square(bias: float) -> None:
    """The integral over t of Var[eps - x_0 | x_t] = c^2 / ((1 - t)^2 c^2 + t^2)."""
    model = best(bias=bias)
    loss = model.loss(Batch(data(400_000)))["loss"].item()
    assert loss == pytest.approx(math.pi * WORLD.spread / 2.0 + bias**2, abs=0.01)


@torch.no_grad()
@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_error_at_one_time(t: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = best()
    monkeypatch.setattr("genarena.models.diffusion.flow_matching.even_times", lambda num, device: torch.full((num,), t))
    found = model.loss(Batch(data(400_000)))["loss"].item()
    c = WORLD.spread
    assert found == pytest.approx(c**2 / ((1.0 - t) ** 2 * c**2 + t**2), rel=0.01)


@torch.no_grad()
@pytest.mark.parametrize("name", PATHS)
def test_denoises_on_every_path(name: str) -> None:
    model, x = best(), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    for t in (0.2, 0.6, 0.95):
        level = PATHS[name](t)
        torch.testing.assert_close(
            model.denoised(x * level.s, level).x_0, WORLD.denoise(x * level.s, level).x_0, rtol=1e-3, atol=1e-4
        )
    noise = Level(0.0, 1.0)
    torch.testing.assert_close(model.denoised(x, noise).x_0, WORLD.denoise(x, noise).x_0)


@torch.no_grad()
def test_denoise_is_the_posterior_mean_and_tweedie_gives_the_score() -> None:
    model, x, t = best(), torch.tensor([[0.3, -1.0], [2.0, 0.7], [0.1, 0.2]]), torch.tensor([0.0, 0.4, 1.0])
    expected = [WORLD.denoise(row, straight(time)).x_0 for row, time in zip(x, t.tolist(), strict=True)]
    torch.testing.assert_close(model.denoise(x, t), torch.stack(expected))
    a, s = model.marginal(t[1:])
    score = (a[:, None] * model.denoise(x, t)[1:] - x[1:]) / s[:, None] ** 2
    variance = a**2 * WORLD.spread**2 + s**2
    torch.testing.assert_close(score, -(x[1:] - WORLD.mean * a[:, None]) / variance[:, None], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_ddim_and_heun_are_euler_and_heun_in_t() -> None:
    """dx / dt = v from t = 1 to 0; Heun's last step is Euler's."""
    network = BestVelocity()
    for sampler, stages in ((DDIM(nfe=10), 1), (Heun(nfe=19), 2)):
        model = best(sampler=sampler)
        torch.manual_seed(3)
        found = model.sample(5)
        torch.manual_seed(3)
        x = torch.randn(5, 2)
        for k in range(10):
            t, end = (torch.full((5,), 1.0 - step / 10) for step in (k, k + 1))
            v = network(x, t)
            if stages == 2 and k < 9:
                v = 0.5 * (v + network(x - v / 10, end))
            x = x - v / 10
        torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


def test_every_step_of_continuous_time_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="sampler.nfe=null: expected a number, because the time of the model"):
        best(sampler=Ancestral(nfe=None))


@torch.no_grad()
@pytest.mark.parametrize("dims", [1, 3])
def test_likelihood_of_the_best_velocity_is_the_gaussians(dims: int) -> None:
    model, x = best(DataSpec((dims,))), data(20, dims)
    found, facts = model.ode_log_prob(x, 1e-6, 1, "uniform")
    exact = torch.distributions.Normal(WORLD.mean, WORLD.spread).log_prob(x).sum(1).double()
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4)
    assert facts["trace"] == "exact" and "dequantisation" not in facts


@pytest.mark.parametrize("dequantisation", ["uniform", "none"])
def test_noise_on_levels_fills_their_bins_and_rounding_takes_it_away(dequantisation: str) -> None:
    torch.manual_seed(0)
    model = best(DataSpec((1, 2, 2), 5), dequantisation=dequantisation)
    x = torch.randint(5, (20_000, 1, 2, 2), dtype=torch.uint8)
    off = model.training_points(x) - (0.5 * x - 1.0)
    if dequantisation == "none":
        assert (off == 0).all() and model.ends == (-1.0, 1.0)
        return
    assert off.abs().max() <= 0.25 and off.var().item() == pytest.approx(0.25 / 12, rel=0.02)
    assert torch.equal(((model.training_points(x) + 1.0) * 2.0).round().to(torch.uint8), x)
    assert model.ends == (-1.25, 1.25)
