"""RePaint (Lugmayr, Danelljan, Romero, Yu, Timofte & Van Gool 2022, arXiv 2201.09865, algorithm 1), from the paper alone.

Differs from the paper: with noise in y, what is known of x at a level is a y + sqrt(s^2 - a^2 sigma^2) n. Below s / a = sigma y
has nothing to say that is not in x, and plain reverse steps go on. Going up takes one step instead of `jump` small ones of the
same distribution.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.paths import Level, jump
from genarena.options.values import Count
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import Prior


@dataclass(frozen=True)
class RePaint(PosteriorSampler):
    """Ancestral steps, after each of which what is measured is replaced by y at the level; masks only.

    Without the repetitions, what is not measured does not fit: it is drawn given a known part that is drawn anew at each level.
    num_steps: levels. jump: how many of them are gone up again. repetitions: of each jump, 1: none is.
    """

    name = "repaint"
    needs: ClassVar[type] = Denoises
    exactness = "asymptotic"
    paper = "2201.09865"

    num_steps: Count = 50
    jump: Count = 5
    repetitions: Count = 5

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        prior = Prior(model, problem)
        levels, x = prior.path(self.num_steps), problem.noise.normal(problem.empty())
        x = levels[0].s * x
        last = max(k for k, level in enumerate(levels) if level.sigma >= problem.sigma)
        for here, there in visits(self.num_steps, self.jump, self.repetitions, last):
            start, end = levels[here], levels[there]
            x = down(prior, problem, x, start, end) if there > here else up(problem, x, start, end)
        return Draws(x, prior.nfe)

    def refusal(self, operator: Operator, sigma: float) -> str:
        return "" if isinstance(operator, Mask) else "needs a mask"


def visits(num_steps: int, size: int, repetitions: int, last: int) -> list[tuple[int, int]]:
    """Moves between levels 0 (noise) to num_steps (data): down by one; and from every `size`-th level, up by `size` and down
    again, `repetitions` - 1 times. last: the last level of which something is known, and the last to go up from. None goes up
    to level 0."""
    found, here, left = [], 0, {last - k: repetitions - 1 for k in range(0, last - size, size)}
    while here < num_steps or left.get(here):
        there = here - size if left.get(here) else here + 1
        if there < here:
            left[here] -= 1
        found.append((here, there))
        here = there
    return found


def down(prior: Prior, problem: Problem, x: Tensor, start: Level, end: Level) -> Tensor:
    """The reverse step, and then what is known."""
    step = jump(start, end)
    x = step.weight_x_0 * prior(x, start).x_0 + step.weight_x_t * x
    if end.s:
        x = x + math.exp(0.5 * step.log_variance) * problem.noise.normal(x)
    rest = end.s**2 - (end.a * problem.sigma) ** 2
    if rest < 0.0:
        return x
    known = end.a * problem.y + (math.sqrt(rest) * problem.noise.normal(x) if rest else 0.0)
    return torch.where(problem.operator.observed.to(x.device), known, x)


def up(problem: Problem, x: Tensor, start: Level, end: Level) -> Tensor:
    """x at a level of more noise, q(x_end | x_start)."""
    kept = end.a / start.a
    return kept * x + math.sqrt(end.s**2 - (kept * start.s) ** 2) * problem.noise.normal(x)
