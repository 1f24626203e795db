"""Exact posteriors against sums of precisions."""

import pytest
import torch

from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.channel_mean import ChannelMean
from genarena.tasks.linear.convolution import Convolution
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator
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


@pytest.mark.parametrize(
    "operator",
    [
        BlockMean((3, 2, 4), 2),
        ChannelMean((3, 2, 4)),
        Convolution((3, 2, 4), torch.tensor([[0.2, 0.5, 0.3]])),
        Mask(torch.arange(24).view(1, 3, 2, 4) % 3 > 0),
    ],
    ids=["block_mean", "channel_mean", "convolution", "mask"],
)
def test_the_mean_is_exact_for_all_operators(operator: Operator) -> None:
    world = World(shape=(3, 2, 4))
    y = operator(world.draw(5)) + 0.1 * operator.observed
    asked = Problem(operator, y, 0.1, Noise.of([(k,) for k in range(5)]))
    mean, _ = world.posterior(operator, y, 0.1)
    assert torch.allclose(posterior_mean(*world.moments(), asked), mean, atol=1e-9)


def test_masks_that_differ_are_solved_one_by_one_and_equal_ones_together() -> None:
    world = World(shape=(1, 3, 4))
    masks = torch.rand(3, 1, 3, 4, generator=torch.Generator().manual_seed(0)) > 0.4
    masks[2] = False  # nothing is measured
    m = Mask(masks[torch.tensor([0, 1, 0, 2, 1])])
    asked = Problem(m, m(world.draw(5)), 0.1, Noise.of([(k,) for k in range(5)]))
    found, drawn = posterior_mean(*world.moments(), asked), ClosedForm().draw(world, asked).x
    for k in range(5):
        mean, _ = world.posterior(m.rows(slice(k, k + 1)), asked.y[k : k + 1], 0.1)
        assert torch.allclose(found[k : k + 1], mean, atol=1e-9)
        alone = Problem(m, asked.y, 0.1, Noise.of([(k,) for k in range(5)])).rows(slice(k, k + 1))
        assert torch.allclose(ClosedForm().draw(world, alone).x, drawn[k : k + 1], atol=1e-12)


def test_noiseless_observations_of_what_never_varies_have_a_solution() -> None:
    world = World(shape=(4,), kind="ar1")
    covariance = world.covariance.clone()
    covariance[0], covariance[:, 0] = 0.0, 0.0
    asked = Problem(
        Mask(torch.tensor([[True, True, False, False]])), torch.ones(2, 4).double(), 0.0, Noise.of([(0,), (1,)])
    )
    found = posterior_mean(world.mean, covariance, asked)
    wanted = world.mean[2:] + covariance[2:, 1] / covariance[1, 1] * (1.0 - world.mean[1])
    assert torch.allclose(found[:, 1], torch.ones(2).double(), atol=1e-9)
    assert torch.allclose(found[:, 2:], wanted.expand(2, 2), atol=1e-9)
