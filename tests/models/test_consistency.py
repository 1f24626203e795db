"""Consistency models on a Gaussian, whose map to the data is known."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.consistency import Consistency
from genarena.models.diffusion.flow_map import FlowMap, Restarts
from genarena.models.diffusion.paths import DATA, PATHS, Level, straight
from genarena.models.diffusion.times import column
from genarena.nets.by_shape import unet_or_mlp
from genarena.spec import Batch, DataSpec
from tests.analytic import Normal
from tests.models.labelled import WORLD, data, mean_of

PLANE, SIGMA_DATA = DataSpec((2,)), 0.5


class BestMap(nn.Module):
    """F = (f(x, t) - c_skip x) / c_out for data N(m, c^2): f(x, t) = m + c / sqrt(c^2 + t^2) (x - m)."""

    def __init__(self, world: Normal = WORLD) -> None:
        super().__init__()
        self.world = world

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        sigma, m, c = column((4.0 * t.double()).exp(), x), mean_of(self.world, context), self.world.spread
        total = (sigma**2 + SIGMA_DATA**2).sqrt()
        x = total * x
        f = m + c / (c**2 + sigma**2).sqrt() * (x - m)
        return (f - (SIGMA_DATA / total) ** 2 * x) / (sigma * SIGMA_DATA / total)


class Doubled(Consistency):
    """Its map is not rounded to float32."""

    def map(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        sigma = column(t, x)
        total = (sigma.square() + self.sigma_data**2).sqrt()
        output = self.network(x / total, t.log() / 4.0, context)
        return (self.sigma_data / total).square() * x + sigma * self.sigma_data / total * output


def best(kind: type[Consistency] = Consistency, spec: DataSpec = PLANE, **options) -> Consistency:
    torch.manual_seed(0)
    return kind(spec, net=lambda *sizes: BestMap(), **options).eval()


def test_without_noise_the_map_is_the_identity_bitwise_whatever_the_network() -> None:
    torch.manual_seed(0)
    model, x = Consistency(PLANE), torch.randn(5, 2)
    assert torch.equal(model.map(x, torch.zeros(5)), x)
    assert not torch.equal(model.map(x, torch.full((5,), 0.01)), x)


@torch.no_grad()
@pytest.mark.parametrize("t", [0.3, 2.0])
def test_at_the_exact_map_the_loss_falls_as_the_square_of_dt(t: float) -> None:
    """f(x_t, t) - f(x_r, r) = dt (k' ((x_0 - m) + t eps) + k eps) + O(dt^2), k = c / sqrt(c^2 + t^2)."""
    model, num, c = best(Doubled), 20_000, WORLD.spread
    x_0, eps, found = data(num).double(), torch.randn(num, 2).double(), {}
    for share in (0.04, 0.02, 0.01, 0.001):
        at, before = (torch.full((num,), value).double() for value in (t, t * (1.0 - share)))
        found[share] = model.difference(x_0, eps, at, before).square().mean().item()
    assert found[0.04] / found[0.02] == pytest.approx(4.0, rel=0.1)
    assert found[0.02] / found[0.01] == pytest.approx(4.0, rel=0.05)
    k, slope = c / math.hypot(c, t), -c * t / math.hypot(c, t) ** 3
    expected = ((slope * (x_0 - WORLD.mean + t * eps) + k * eps) * t * 0.001).square().mean().item()
    assert found[0.001] == pytest.approx(expected, rel=0.01)


@torch.no_grad()
@pytest.mark.parametrize("name", PATHS)
def test_jumps_from_every_path_end_where_the_flow_does(name: str) -> None:
    level, x = PATHS[name](0.6), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    found = best().jump(level.s * x, level, DATA)
    torch.testing.assert_close(found, WORLD.flow(level.s * x, level, DATA), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="knows the way to the data alone"):
        best().jump(x, level, straight(0.1))


@torch.no_grad()
@pytest.mark.parametrize("nfe", [1, 2, 5])
def test_samples_are_those_of_the_data(nfe: int) -> None:
    model = best(sampler=Restarts(nfe))
    assert model.nfe == nfe
    x = model.sample(40_000)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=5 * WORLD.spread / 283 + 0.01)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.015)
    levels = model.levels(nfe)
    assert levels[0] == Level(1.0, 80.0) and levels[-1] == DATA and len(levels) == nfe + 1
    assert [level.s for level in levels] == sorted((level.s for level in levels), reverse=True)


def test_r_starts_at_the_data_and_comes_to_t() -> None:
    model, t = Consistency(PLANE, doublings=5, curriculum=0.5), torch.tensor([0.01, 1.0, 80.0])
    gaps = []
    for progress in (0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 1.0):
        model.progress = progress
        r = model.nearer(t)
        assert (r >= 0.0).all() and (r < t).all()
        gaps.append(((t - r) / t)[2].item())
    assert gaps == pytest.approx([1.0, 0.5, 0.25, 0.125, 0.0625, 1 / 32, 1 / 32, 1 / 32])
    assert model.nearer(t)[0].item() == pytest.approx(0.01 * (1.0 - (1.0 + 8.0 / (1.0 + math.exp(0.01))) / 32))


def test_noise_and_dropout_are_the_same_at_both_times() -> None:
    """At equal times nothing is left; the chance of other numbers is not disturbed either."""
    torch.manual_seed(0)
    net = partial(unet_or_mlp, hidden_channels=8, dropout=0.5)
    model = Consistency(DataSpec((1, 4, 4), 8), net=net).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x_0, eps, t = torch.randn(6, 1, 4, 4), torch.randn(6, 1, 4, 4), torch.linspace(0.1, 3.0, 6)
    assert torch.equal(model.difference(x_0, eps, t, t), torch.zeros_like(x_0))
    assert not torch.equal(model.map(x_0, t), model.map(x_0, t)), "there is dropout"


def test_targets_have_no_gradient_and_the_first_ones_are_the_data() -> None:
    torch.manual_seed(0)
    model = Consistency(PLANE, huber=0.0)
    x_0, eps, t = data(4), torch.randn(4, 2), torch.tensor([0.1, 0.5, 1.0, 4.0])
    first = model.difference(x_0, eps, t, torch.zeros(4))
    torch.testing.assert_close(first, model.map(x_0 + t[:, None] * eps, t) - x_0)
    later = model.difference(x_0, eps, t, 0.9 * t)
    (gradient,) = torch.autograd.grad(later.sum(), model.network.head[-1].bias)
    c_out = 0.5 * t / (t.square() + 0.25).sqrt()
    torch.testing.assert_close(gradient, c_out.sum().expand(2))  # of f(x_t, t) alone


def test_the_loss_weighs_a_huber_distance_by_the_inverse_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model, off = Consistency(PLANE, huber=0.5), torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    monkeypatch.setattr(model, "difference", lambda *inputs: off)
    monkeypatch.setattr(model, "nearer", lambda t: t - torch.tensor([0.25, 0.5]))
    c = 0.5 * 2.0**0.5
    expected = 0.5 * (math.hypot(5.0, c) - c) / 0.25 / 2.0**0.5
    assert model.loss(Batch(torch.zeros(2, 2)))["loss"].item() == pytest.approx(expected)


def test_a_map_between_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="sampler: FlowMap does not fit Consistency"):
        Consistency(PLANE, sampler=FlowMap())
