"""A prior with many modes: what guidance gains over knowing nothing of y. docs/tasks/posterior.md has all algorithms."""

import pytest
import torch

from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.mmps import MMPS
from tests.tasks.mixture import Mixture, problem, sliced_w2
from tests.tasks.posterior.test_heuristics import Streams

NUM = 1000


def distances(algorithm: PosteriorSampler | None, seeds: range) -> list[float]:
    """Sliced W2 to the exact posterior for each problem; None: of draws of the prior."""
    world, found = Mixture(), []
    for seed in seeds:
        operator, y, sigma = problem(world, seed)
        exact = world.posterior(operator.a, y, sigma, NUM, torch.Generator().manual_seed(1))
        if algorithm is None:
            x = world.draw(NUM, torch.Generator().manual_seed(2))
        else:
            x = algorithm.draw(world, Problem(operator, y.expand(NUM, 1), sigma, Streams(NUM))).x
        found.append(sliced_w2(x, exact))
    return found


@pytest.mark.slow
def test_moment_matching_is_nearer_than_the_prior() -> None:
    guided, free = (distances(each, range(5)) for each in (MMPS(num_iterations=1), None))
    assert sum(guided) / 5 == pytest.approx(5.93, abs=0.1)
    assert sum(free) / 5 == pytest.approx(11.55, abs=0.1)


def test_the_exact_posterior_is_the_prior_weighted_by_the_likelihood() -> None:
    world, (operator, y, sigma), generator = Mixture(), problem(Mixture(), 0), torch.Generator().manual_seed(3)
    exact, prior = (world.posterior(operator.a, y, sigma, 4_000, generator), world.draw(100_000, generator))
    weights = torch.exp(-0.5 * ((y - operator(prior)) / sigma).square().sum(1))
    chosen = prior[torch.multinomial(weights, 4_000, replacement=True, generator=generator)]
    assert sliced_w2(exact, chosen) < 0.1 * sliced_w2(exact, prior[:4_000])
