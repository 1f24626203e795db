"""Shrunk moments, and the estimator that they make."""

import torch
from sklearn.covariance import ledoit_wolf

from genarena.tasks.floors.lmmse import LMMSE, shrunk_moments
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.mask import identity
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise

SHAPE = (1, 4, 4)


def drawn(num: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(16, 16, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return 0.5 + 0.1 * torch.randn(num, 16, generator=generator, dtype=torch.float64) @ root


def test_the_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    for num in (5, 30, 5000):
        x = drawn(num)
        mean, covariance = shrunk_moments(x)
        wanted, weight = ledoit_wolf(x.numpy())
        assert torch.allclose(mean, x.mean(0)) and torch.allclose(covariance, torch.from_numpy(wanted), atol=1e-10)
        assert (weight > 0.1) == (num < 100)
    assert torch.equal(shrunk_moments(torch.full((6, 3), 0.5))[1], torch.zeros(3, 3, dtype=torch.float64))


def problem(operator: Operator, x: torch.Tensor, draws: int = 1) -> Problem:
    n = torch.randn(len(x), *operator.observed_shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = (operator(x) + 0.1 * n).repeat_interleave(draws, 0)
    return Problem(operator, y, 0.1, Noise.of([(k,) for k in range(len(y))]))


def test_no_other_linear_estimator_of_the_training_images_is_better_and_draws_have_twice_its_error() -> None:
    x = drawn(3000)
    floor = LMMSE(x.float().unflatten(1, SHAPE))
    for operator in (identity(SHAPE), BlockMean(SHAPE, 2)):
        truth = drawn(2000, seed=1).unflatten(1, SHAPE)
        asked = problem(operator, truth)
        error = (floor.restore(asked, 0.0) - truth).square().mean()
        ones = torch.ones(len(truth), 1, dtype=torch.float64)
        features = torch.cat([asked.y.flatten(1), ones], 1)
        fitted = torch.linalg.lstsq(features, truth.flatten(1)).solution  # with these very images: a lower bound
        least = (features @ fitted - truth.flatten(1)).square().mean()
        assert least <= error < 1.03 * least
        drawn_error = (floor.draw(asked) - truth).square().mean()
        assert abs(drawn_error / error - 2) < 0.06


def test_images_of_many_dimensions_are_left_to_others() -> None:
    floor = LMMSE(torch.zeros(2, 3, 40, 40))
    assert not floor.fits(identity((3, 40, 40)), 0.1)
    assert LMMSE(torch.rand(2, *SHAPE)).fits(identity(SHAPE), 0.1)
