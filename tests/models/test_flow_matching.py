import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.paths import PATHS, Level, straight
from genarena.models.diffusion.samplers import DDIM, Ancestral, DPMSolver, Heun
from genarena.models.diffusion.times import column
from genarena.spec import Batch, DataSpec
from tests.analytic import Normal

MEANS = torch.tensor([-1.0, 0.0, 1.5])  # of labels
WORLD = Normal(0.4, 0.8)
PLANE = DataSpec((2,))


def mean_of(world: Normal, context: Tensor | None) -> Tensor | float:
    """Of the label of each example; of the world without one."""
    means = torch.cat([MEANS, torch.tensor([world.mean])])
    return world.mean if context is None else (context @ means)[:, None]


class BestVelocity(nn.Module):
    """E[eps - x_0 | x_t] for data N(mean, spread^2) in each dimension, plus `bias`."""

    def __init__(self, world: Normal = WORLD, bias: float = 0.0) -> None:
        super().__init__()
        self.world, self.bias = world, bias

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        m, variance, t = mean_of(self.world, context), self.world.spread**2, column(t, x)
        a = 1.0 - t
        return (t - variance * a) / (a**2 * variance + t**2) * (x - a * m) - m + self.bias


def best(spec: DataSpec = PLANE, bias: float = 0.0, world: Normal = WORLD, **options) -> FlowMatching:
    torch.manual_seed(0)
    return FlowMatching(spec, net=lambda *sizes: BestVelocity(world, bias), **options).eval()


def data(num: int, dims: int = 2) -> Tensor:
    return WORLD.mean + WORLD.spread * torch.randn(num, dims)


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
@pytest.mark.parametrize("sampler", [Heun(nfe=39), DPMSolver(nfe=30), DDIM(nfe=200), Ancestral(nfe=300)], ids=str)
def test_samples_have_the_mean_and_variance_of_the_data(sampler) -> None:
    x = best(sampler=sampler).sample(20_000)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=5 * WORLD.spread / 200)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.02)


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


@torch.no_grad()
def test_density_of_any_network_integrates_to_one() -> None:
    class Wavy(nn.Module):
        def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
            return torch.sin(2.0 * x) + column(t, x) * torch.cos(x) - 0.3 * x

    model = FlowMatching(DataSpec((1,)), net=lambda *sizes: Wavy())
    grid = torch.linspace(-12.0, 12.0, 2401).unsqueeze(1)
    density = model.ode_log_prob(grid, 1e-6, 1, "uniform")[0].exp()
    assert density.sum().item() * 0.01 == pytest.approx(1.0, abs=1e-4)
    assert density.max().item() > 0.5  # the field does something


@torch.no_grad()
def test_likelihood_of_levels_is_that_of_their_bins() -> None:
    """Levels of a fine grid, rounded from N(0, 0.3^2): the density hardly changes within a bin."""
    spec = DataSpec((1, 1, 1), 256)
    model = best(spec, world=Normal(0.0, 0.3))
    x = torch.arange(64, 192, dtype=torch.uint8).view(-1, 1, 1, 1)
    values, facts = model.ode_log_prob(x, 1e-6, 1, "uniform")
    edges = (torch.arange(64, 193).double() - 0.5) * (2.0 / 255) - 1.0
    exact = torch.distributions.Normal(0.0, 0.3).cdf(edges).diff().log()
    torch.testing.assert_close(values.mean(), exact.mean(), atol=5e-3, rtol=0)
    assert facts["dequantisation"] == "uniform"
    with pytest.raises(ValueError, match="dequantisation='model': expected one of uniform"):
        model.ode_log_prob(x, 1e-5, 1, "model")


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


@torch.no_grad()
def test_likelihood_samples_and_guidance_of_a_label_are_its_own() -> None:
    """Classes N(m_y, 0.8^2) in two dimensions, without a condition N(0.4, 0.8^2): guidance 2 has the mean 2 m_y - 0.4."""
    model = best(DataSpec((2,), num_classes=3, condition="label"))
    y = torch.arange(12) % 3
    x = MEANS[y][:, None] + WORLD.spread * torch.randn(12, 2)
    found, _ = model.ode_log_prob(x, 1e-6, 1, "uniform", y)
    exact = torch.distributions.Normal(MEANS[y][:, None], WORLD.spread).log_prob(x).sum(1).double()
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4)
    for guidance, mean in ((0.0, WORLD.mean), (1.0, MEANS[2].item()), (2.0, 2.0 * MEANS[2].item() - WORLD.mean)):
        model.use(DPMSolver(nfe=30, guidance=guidance))
        drawn = model.sample(4000, torch.full((4000,), 2))
        assert drawn.mean().item() == pytest.approx(mean, abs=0.05)
        assert drawn.std().item() == pytest.approx(WORLD.spread, abs=0.04)
    assert model.nfe == 60
