"""Strengths are chosen on validation images, by a proper score."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from genarena.models.capabilities import Denoises
from genarena.tasks.linear.degradations import denoising
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.restored import with_strength
from tests.tasks.world import World


@dataclass(frozen=True)
class Spread(PosteriorSampler):
    """The noisy image with more noise, of some size."""

    name = "spread"
    needs = Denoises
    exactness = "heuristic"
    strength: ClassVar[str] = "size"
    strengths: ClassVar[tuple[float, ...]] = (0.0, 0.4, 2.0)

    size: float | None = None

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        return Draws(problem.y + self.size * problem.noise.normal(problem.y))


def test_the_strength_has_the_smallest_crps() -> None:
    x = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    val = Images(x, [image.numpy().tobytes() for image in x])
    sampler, chosen = with_strength(Spread(), World(), val, denoising(0.2), 0)  # 0.4 in the model's space
    assert chosen == {"size": 0.4} and sampler == Spread(0.4)


def test_a_strength_that_is_given_stays() -> None:
    sampler, chosen = with_strength(Spread(2.0), World(), None, denoising(0.2), 0)
    assert chosen == {} and sampler == Spread(2.0)
