"""The maps of `shortcut` and `meanflow`, and their samplers, on a Gaussian, whose flow is known."""

import pytest
import torch

from genarena.models.diffusion.flow_map import AverageVelocity, FlowMap, Restarts
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.meanflow import MeanFlow
from genarena.models.diffusion.paths import DATA, PATHS, Level, straight
from genarena.models.diffusion.samplers import DDIM
from genarena.models.diffusion.shortcut import Shortcut
from genarena.spec import DataSpec
from tests.models.labelled import MEANS, WORLD, BestAverage, BestVelocity, data

PLANE = DataSpec((2,))
BOTH = pytest.mark.parametrize("make", [Shortcut, MeanFlow], ids=lambda make: make.__name__)


def best(make: type[AverageVelocity], spec: DataSpec = PLANE, bias: float = 0.0, **options) -> AverageVelocity:
    """A model with the exact map of the world, which its network finds from t and t - r themselves."""
    torch.manual_seed(0)
    exact = type(make.__name__, (make,), {"told": lambda self, d: d})
    return exact(spec, net=lambda *sizes: BestAverage(WORLD, bias), **options).eval()


@BOTH
def test_two_half_steps_are_one_step_and_both_are_the_flow(make: type[AverageVelocity]) -> None:
    model, x = best(make), data(8).double()
    for start, end in ((1.0, 0.0), (0.9, 0.1), (0.5, 0.25)):
        levels = [straight(t) for t in (start, 0.5 * (start + end), end)]
        at_once = model.jump(x, levels[0], levels[2])
        in_two = model.jump(model.jump(x, levels[0], levels[1]), levels[1], levels[2])
        torch.testing.assert_close(in_two, at_once, rtol=0, atol=1e-6)
        torch.testing.assert_close(at_once, WORLD.flow(x, levels[0], levels[2]), rtol=0, atol=1e-6)


@BOTH
@pytest.mark.parametrize("name", PATHS)
def test_the_map_holds_on_every_path(make: type[AverageVelocity], name: str) -> None:
    model, x = best(make), torch.linspace(-2.0, 2.0, 8).view(4, 2)
    start, end = PATHS[name](0.8), PATHS[name](0.3)
    torch.testing.assert_close(
        model.jump(start.s * x, start, end), WORLD.flow(start.s * x, start, end), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
@BOTH
def test_without_a_step_it_is_the_velocity_with_its_samplers_and_likelihood(make: type[AverageVelocity]) -> None:
    model, x = best(make), data(6)
    other = FlowMatching(PLANE, net=lambda *sizes: BestVelocity(), sampler=DDIM(10)).eval()
    for level in (straight(0.3), Level(1.0, 2.0)):
        torch.testing.assert_close(model.denoised(x, level), other.denoised(x, level))
    exact = torch.distributions.Normal(WORLD.mean, WORLD.spread).log_prob(x).sum(1).double()
    torch.testing.assert_close(model.ode_log_prob(x, 1e-6, 1, "uniform")[0], exact, rtol=0, atol=1e-4)
    model.use(DDIM(10))
    drawn = []
    for each in (model, other):
        torch.manual_seed(2)
        drawn.append(each.sample(5))
    torch.testing.assert_close(*drawn)


@torch.no_grad()
@BOTH
@pytest.mark.parametrize("sampler", [FlowMap(1), FlowMap(3), Restarts(1), Restarts(4)], ids=str)
def test_samples_are_those_of_the_data(make: type[AverageVelocity], sampler) -> None:
    model = best(make, sampler=sampler)
    assert model.nfe == sampler.nfe
    x = model.sample(40_000)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=5 * WORLD.spread / 283)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.015)
    torch.manual_seed(5)
    one = model.sample(3)
    torch.manual_seed(5)
    ended = WORLD.flow(torch.randn(3, 2), straight(1.0), DATA)
    is_the_end = torch.allclose(one, ended, atol=1e-5)
    assert is_the_end == (isinstance(sampler, FlowMap) or sampler.nfe == 1), "restarts add noise"


@torch.no_grad()
@BOTH
def test_guidance_of_means_moves_a_sample_by_the_difference(make: type[AverageVelocity]) -> None:
    """For N(m_y, c^2) and N(m, c^2) the ends of the flows from the same noise, m_y + c eps and m + c eps, differ by m_y - m."""
    spec = DataSpec((2,), num_classes=3, condition="label")
    model, y = best(make, spec, condition_dropout=0.1), torch.tensor([0, 2])
    drawn = {}
    for s in (0.0, 1.0, 2.5):
        model.use(FlowMap(1, guidance=s))
        torch.manual_seed(3)
        drawn[s] = model.sample(2, y)
    apart = (MEANS[y] - WORLD.mean)[:, None].expand(2, 2)
    torch.testing.assert_close(drawn[1.0] - drawn[0.0], apart)
    torch.testing.assert_close(drawn[2.5] - drawn[0.0], 2.5 * apart)
    assert model.nfe == 2
