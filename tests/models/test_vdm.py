"""The bound of `vdm` in a Gaussian world, with the exact denoiser: closed forms, and what the schedule changes."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.paths import PATHS
from genarena.models.diffusion.samplers import Ancestral, DPMSolver
from genarena.models.diffusion.times import column
from genarena.models.diffusion.vdm import VDM
from genarena.nets.monotone import MonotoneFunction
from genarena.spec import Batch, DataSpec
from tests.analytic import Normal
from tests.models.tiny import NARROW

WORLD, PLANE, ENDS = Normal(0.4, 0.8), DataSpec((2,)), (-6.0, 8.0)


class BestNoise(nn.Module):
    """E[eps | z] for data N(mean, spread^2), told (gamma + 6) / 14."""

    def forward(self, z: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        gamma = column(ENDS[0] + (ENDS[1] - ENDS[0]) * t, z)
        a, s = (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt()
        return s * (z - a * WORLD.mean) / (a**2 * WORLD.spread**2 + s**2)


def best(bend: float = 0.0, **options) -> VDM:
    """bend: of the schedule between its ends."""
    torch.manual_seed(0)
    model = VDM(
        PLANE, net=lambda *sizes: BestNoise(), gamma_min=ENDS[0], gamma_max=ENDS[1], schedule_features=16, **options
    ).eval()
    with torch.no_grad():
        model.shape.outer.add_(bend)
        model.shape.inner.add_(bend)
        model.shape.shift.sub_(bend)
    return model


def test_schedule_rises_between_its_ends_at_the_rate_it_says() -> None:
    torch.manual_seed(0)
    shape = MonotoneFunction(32).double()
    with torch.no_grad():
        for parameter in shape.parameters():
            parameter.add_(2.0 * torch.randn_like(parameter))
    t = torch.linspace(0.0, 1.0, 50, dtype=torch.float64, requires_grad=True)
    risen, rate = shape(t)
    (slope,) = torch.autograd.grad(risen.sum(), t)
    torch.testing.assert_close(rate, slope)
    assert (rate > 0.0).all() and risen[0].item() == pytest.approx(0.0) and risen[-1].item() == pytest.approx(1.0)


@torch.no_grad()
@pytest.mark.parametrize("bend", [0.0, 8.0])
def test_bound_of_the_exact_denoiser_is_the_entropy_and_two_end_terms(bend: float) -> None:
    """Whatever the schedule does between its ends. In each dimension -log p(x) = (1 + ln 2 pi c^2) / 2 on average, and the ends
    add ln(1 + e^gamma_0 / c^2) / 2 - ln(1 + c^2 e^-gamma_1) / 2 + KL(q(z_1 | x) || N(0, I))."""
    model = best(bend)
    x = WORLD.mean + WORLD.spread * torch.randn(50_000, 2)
    found = model.loss(Batch(x))["loss"].item() * math.log(2.0)
    c_2, (low, high) = WORLD.spread**2, ENDS
    a_2 = 1.0 / (1.0 + math.exp(high))
    kl = 0.5 * (a_2 * (WORLD.mean**2 + c_2) - a_2 - math.log(1.0 - a_2))
    ends = 0.5 * math.log(1.0 + math.exp(low) / c_2) - 0.5 * math.log(1.0 + c_2 * math.exp(-high)) + kl
    entropy = 0.5 * (1.0 + math.log(2.0 * math.pi * c_2))
    assert ends > 0.0 and abs(ends) < 0.01
    assert found == pytest.approx(entropy + ends, abs=0.02)
    t = torch.tensor([0.5])
    moved = (model.gamma(t)[0] - sum(ENDS) / 2.0).abs().item()
    assert moved > 1.0 if bend else moved < 0.5


@torch.no_grad()
def test_log_prob_is_that_of_the_gaussian_for_every_x() -> None:
    model = best()
    x = torch.tensor([[0.4, 0.4], [2.0, -1.0], [-1.5, 0.0]])
    found = model.log_prob(x.repeat(2_000, 1), num_samples=20).view(2_000, 3)
    exact = torch.distributions.Normal(WORLD.mean, WORLD.spread).log_prob(x).sum(1)
    error = found.std(0) / math.sqrt(2_000)
    assert ((found.mean(0) - exact).abs() < 4.0 * error + 0.01).all() and (error < 0.05).all()


@torch.no_grad()
def test_denoises_and_samples() -> None:
    model, x = best(sampler=DPMSolver(nfe=40)), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    for name in PATHS:
        level = PATHS[name](0.5)
        expected = WORLD.denoise(x * level.s, level).x_0
        torch.testing.assert_close(model.denoised(x * level.s, level).x_0, expected, rtol=1e-3, atol=1e-3)
    for sampler in (DPMSolver(nfe=40), Ancestral(nfe=300)):
        model.use(sampler)
        drawn = model.sample(5000)
        assert drawn.mean().item() == pytest.approx(WORLD.mean, abs=0.05)
        assert drawn.std().item() == pytest.approx(WORLD.spread, abs=0.03)


def test_masses_of_levels_are_bounded() -> None:
    """With the best denoiser of known masses, E[bound] is just below log P(x)."""
    torch.manual_seed(0)
    mass, values = torch.tensor([0.7, 0.1, 0.2]), torch.linspace(-1.0, 1.0, 3)

    class Best(nn.Module):
        def forward(self, z: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
            z = z[:, :1]
            gamma = column(model.told[0] + (model.told[1] - model.told[0]) * t, z)
            a, s = (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt()
            logits = mass.log() - (z[..., None] - a[..., None] * values).square() / (2.0 * s[..., None] ** 2)
            return (z - a * (logits.softmax(-1) * values).sum(-1, keepdim=False)) / s

    model = VDM(DataSpec((1, 1, 1), 3), net=lambda *sizes: Best()).eval()
    x = torch.arange(3, dtype=torch.uint8).repeat(10_000).view(-1, 1, 1, 1)
    with torch.no_grad():
        found = model.log_prob(x).view(-1, 3)
    error = found.std(0) / math.sqrt(len(found))
    gap = mass.log() - found.mean(0)
    assert (gap > -4.0 * error).all() and (gap < 0.02 + 4.0 * error).all()
    assert model.told[0] == pytest.approx(2.0 * math.log(1.0 / 6.0))


def test_each_part_of_the_schedule_has_its_own_loss() -> None:
    """Ends: the gradient of the bound. Shape: that of the mean square of the diffusion loss of each draw."""
    torch.manual_seed(0)
    model, x = VDM(DataSpec((3,)), net=NARROW, schedule_features=4), torch.randn(16, 3)

    def gradient(square: bool) -> list[Tensor]:
        torch.manual_seed(1)
        t = torch.rand(16)
        terms, parameters = model._terms(x, t, None), [model.gammas, *model.shape.parameters()]
        if not square:
            return torch.autograd.grad(model._bits(sum(terms)).mean(), parameters)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "register_hook", lambda *_: None)
            torch.manual_seed(1)
            terms = model._terms(x, torch.rand(16), None)
        return torch.autograd.grad(model._bits(terms.diffusion).square().mean(), parameters)

    for found, expected in zip(gradient(False)[1:], gradient(True)[1:], strict=True):
        torch.testing.assert_close(found, expected, rtol=5e-3, atol=1e-4)  # float32, and terms that cancel


def test_fourier_features_are_those_of_the_paper_for_256_levels() -> None:
    assert VDM(DataSpec((1, 8, 8), 256), net=NARROW).frequencies == [2.0**7 * math.pi, 2.0**8 * math.pi]
    assert VDM(PLANE, net=NARROW).frequencies == []


def test_ends_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma_min=6: expected less than gamma_max, 5"):
        VDM(PLANE, gamma_min=6.0)


@pytest.mark.parametrize("gamma", [-14.0, -9.7, -5.0, 2.0, math.nan])
def test_the_levels_around_a_value_are_enough_for_the_reconstruction(gamma: float) -> None:
    """Against the softmax over all levels, with the gradient of gamma."""
    x = torch.tensor([0, 1, 2, 100, 253, 254, 255], dtype=torch.uint8).repeat(40).view(1, 1, 8, 35)
    model = VDM(DataSpec((1, 8, 35), 256), net=NARROW, schedule_features=16)
    found = []
    for of_all in (False, True):
        model.gammas = nn.Parameter(torch.tensor([gamma, 5.0]))
        torch.manual_seed(1)
        if of_all:
            values, eps, scale = torch.linspace(-1.0, 1.0, 256), torch.randn(x.shape), (-0.5 * model.gammas[0]).exp()
            off = (values[x.long()].unsqueeze(-1) - values) * scale + eps.unsqueeze(-1)
            nats = -(-0.5 * off.square()).log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).sum()
        else:
            nats = model._reconstruction(x, model.scaled(x)).sum()
        nats.backward()
        found.append(torch.stack([nats.detach(), model.gammas.grad[0]]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4, equal_nan=True)
