"""Exact posteriors against sums of precisions."""

import pytest
import torch

from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.closed_form import ClosedForm, posterior_mean
from tests.tasks.world import World, relative_w2


def problem(world: World, m: torch.Tensor | None, sigma: float, num: int) -> Problem:
    operator = identity(world.shape) if m is None else Mask(m)
    y = operator(world.draw(1)).expand(num, *world.shape)
    return Problem(operator, y, sigma, Noise.of([(0, k) for k in range(num)]))


@pytest.mark.parametrize("sigma", [0.02, 0.25, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_is_that_of_the_sum_of_precisions(sigma: float, masked: bool) -> None:
    world = World()
    m = torch.tensor([True, False, True, True, False, False]).view(1, *world.shape) if masked else None
    asked = problem(world, m, sigma, 3)
    mean, _ = world.posterior(asked.operator, asked.y, sigma)
    assert torch.allclose(posterior_mean(*world.moments(), asked), mean, atol=1e-9)


def test_draws_have_the_posterior_covariance() -> None:
    world = World(kind="ar1", shape=(8,))
    asked = problem(world, torch.arange(8).view(1, 8) % 2 == 0, 0.05, 4000)
    mean, covariance = world.posterior(asked.operator, asked.y[:1], 0.05)
    assert relative_w2(ClosedForm().draw(world, asked).x, mean, covariance) < 0.04
    none = problem(world, torch.zeros(1, 8, dtype=torch.bool), 0.05, 4000)
    assert relative_w2(ClosedForm().draw(world, none).x, world.mean, world.covariance) < 0.04


def test_a_lane_is_the_same_alone_and_in_a_batch() -> None:
    world = World()
    asked = problem(world, None, 0.1, 16)
    together = ClosedForm().draw(world, asked).x
    alone = ClosedForm().draw(world, problem(world, None, 0.1, 16).rows(slice(5, 6))).x
    assert torch.allclose(together[5:6], alone, atol=1e-12)
