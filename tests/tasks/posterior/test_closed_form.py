"""Exact posteriors against sums of precisions."""

import pytest
import torch

from genarena.models.mixing import Mixes
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.channel_mean import ChannelMean
from genarena.tasks.linear.convolution import Convolution
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.closed_form import ClosedForm, log_posterior, posterior_mean
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


class Mixture(Mixes):
    """Three Gaussians of random covariances, or their diagonals."""

    def __init__(self, shape: tuple[int, ...], diagonal: bool) -> None:
        generator = torch.Generator().manual_seed(3)
        size = torch.Size(shape).numel()
        root = torch.randn(3, size, size, generator=generator, dtype=torch.float64) / size**0.5
        covariance = root @ root.mT + 0.1 * torch.eye(size)
        self.covariances = covariance.diagonal(dim1=1, dim2=2).contiguous() if diagonal else covariance
        self.means = torch.randn(3, size, generator=generator, dtype=torch.float64)
        self.weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)

    def components(self, y: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.weights, self.means, self.covariances

    def draw(self, num: int) -> torch.Tensor:
        chosen = torch.multinomial(self.weights, num, replacement=True)
        covariances = self.covariances.diag_embed() if self.covariances.dim() == 2 else self.covariances
        noise = torch.randn(num, self.means.shape[1], 1, dtype=torch.float64)
        return self.means[chosen] + (torch.linalg.cholesky(covariances)[chosen] @ noise)[..., 0]


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("kind", ["mask", "block_mean"])
def test_a_mixture_is_drawn_from_the_exact_posterior(kind: str, diagonal: bool) -> None:
    """Against self-normalised importance weights of 400,000 draws of the prior: mean and second moments."""
    torch.manual_seed(0)
    shape = (1, 2, 4) if kind == "block_mean" else (5,)
    world, sigma, num = Mixture(shape, diagonal), 0.5, 5_000
    operator = BlockMean(shape, 2) if kind == "block_mean" else Mask(torch.tensor([[True, False, True, False, False]]))
    y = operator(world.draw(1).view(1, *shape)) + 0.3 * operator.observed
    asked = Problem(operator, y.expand(num, *operator.observed_shape), sigma, Noise.of([(k,) for k in range(num)]))
    drawn = ClosedForm().draw(world, asked).x.flatten(1)
    prior = world.draw(400_000)
    fit = Problem(operator, y, sigma, Noise.of([(0,)])).log_likelihood(prior.unflatten(1, shape))
    weights = torch.softmax(fit, 0)
    assert 1.0 / weights.square().sum() > 10_000
    mean = weights @ prior
    assert (drawn.mean(0) - mean).abs().max() < 0.06
    second = (prior - mean).T @ ((prior - mean) * weights[:, None])
    assert (torch.cov(drawn.T) - second).abs().max() < 0.09


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_components_of_a_mixture_are_weighed_by_the_marginal_density(diagonal: bool) -> None:
    world = Mixture((5,), diagonal)
    masks = torch.tensor([[True, False, True, True, False], [False] * 5, [True] * 5])[torch.tensor([0, 1, 2, 0])]
    y = Mask(masks)(world.draw(4))
    asked = Problem(Mask(masks), y, 0.1, Noise.of([(k,) for k in range(4)]))
    found = log_posterior(*world.components(), asked)
    dense = world.covariances.diag_embed() if diagonal else world.covariances
    for lane, kept in enumerate(masks):
        for k in range(3):
            square = dense[k][kept][:, kept] + 0.01 * torch.eye(int(kept.sum()), dtype=torch.float64)
            exact = world.weights[k].log()
            if kept.any():
                normal = torch.distributions.MultivariateNormal(world.means[k][kept], square)
                exact = exact + normal.log_prob(y[lane][kept])
            assert found[lane, k].item() == pytest.approx(exact.item(), abs=1e-9)
    drawn = ClosedForm().draw(world, asked).x
    alone = Problem(Mask(masks), y, 0.1, Noise.of([(k,) for k in range(4)])).rows(slice(3, 4))
    assert torch.allclose(ClosedForm().draw(world, alone).x, drawn[3:], atol=1e-12)
    exact = ClosedForm().draw(world, Problem(Mask(masks), y, 0.0, Noise.of([(k,) for k in range(4)]))).x
    assert torch.allclose(exact[masks], y[masks], atol=1e-4)
