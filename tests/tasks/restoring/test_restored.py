"""Strengths are chosen on validation images: of samplers by a proper score, of floors by the squared error."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from genarena.models.capabilities import Denoises
from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.degradations import denoising
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.restored import with_floor, with_strength
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


class Grey(Floor):
    """Images of one level, the strength."""

    name = "grey"

    def strengths(self, sigma: float) -> tuple[float, ...]:
        return (0.2, 0.4, 0.8)

    def restore(self, problem: Problem, strength: float) -> torch.Tensor:
        return torch.full(problem.shape, strength, dtype=torch.float64)


def test_the_strength_of_a_floor_is_best_on_validation_images_and_knows_nothing_of_the_test() -> None:
    val, test = (
        Images(torch.full((3, 1, 6, 6), level, dtype=torch.float64), [b"1", b"2", b"3"]) for level in (0.41, 0.79)
    )
    made = with_floor(Grey(test.x.float()), test, val, denoising(0.2), 0, 2)
    assert made.facts == {"strength": 0.4} and made.draws is None
    assert torch.equal(made.mean, torch.full_like(test.x, 0.4))
