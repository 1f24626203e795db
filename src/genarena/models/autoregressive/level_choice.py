"""How an autoregressive model draws a level from p(x_i | x_1, ..., x_{i-1}): at a temperature, or among the likeliest levels.

Papers: Ackley, Hinton & Sejnowski 1985 (temperature); Holtzman et al. 2020, arXiv 1904.09751, sec. 3.1 (top-p); Ho & Salimans
2022, arXiv 2207.12598 (guidance), here of the logarithms of the levels' probabilities.

Each level is changed given those before it, so the images do not follow p(x)^(1/T) / Z as a whole.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.distributions import Categorical, PixelDistribution
from genarena.models.base import GenerativeModel
from genarena.models.keeping import Choose, draw
from genarena.models.sampler import Sampler, Temperature
from genarena.options.values import NonNegative, Share


@dataclass(frozen=True)
class TopP(Sampler):
    """top_p: only the likeliest levels are drawn, as few as have this probability together; at least one.

    temperature: T of p^(1/T) / Z, before the cut.
    """

    top_p: Share = 0.95
    temperature: NonNegative = 1.0


def drawing(sampler: Temperature | TopP) -> Choose:
    """The `Choose` that draws levels as the sampler says; `draw` if it changes nothing."""
    top_p = sampler.top_p if isinstance(sampler, TopP) else 1.0
    if sampler.temperature == 1.0 and top_p == 1.0:
        return draw

    def choose(distribution: PixelDistribution, channel: int = 0, row: int = 0, column: int = 0) -> Tensor:
        return draw(cut(tempered(distribution, sampler.temperature), top_p))

    return choose


def sampled(model: GenerativeModel, num_images: int, y: Tensor | None, unroll: Callable[..., Tensor]) -> Tensor:
    """Levels (num_images, *shape) that a model draws as its sampler says; unroll: of the model, as that of `Factorises`.

    With guidance each image is drawn in two lanes, one with its condition and one without, which get the same levels.
    """
    choose, s = drawing(model.sampler), model.sampler.guidance
    if model.sampler.predictions == 1 or y is None:
        return unroll(num_images, choose, y if s else None)
    both = torch.cat([y, model.spec.condition.nulls(num_images, y.device)])
    return unroll(2 * num_images, guided(choose, s), both)[:num_images]


def guided(choose: Choose, guidance: float) -> Choose:
    """`choose` from log p_u + s (log p_c - log p_u) of two lanes, the first half of them with a condition."""

    def chosen(distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        given, without = distribution.probs().clamp_min(torch.finfo(torch.float32).tiny).log().chunk(2)
        mixed = Categorical(without + guidance * (given - without))
        return choose(mixed, channel=channel, row=row, column=column).repeat(2)

    return chosen


def tempered(distribution: PixelDistribution, temperature: float) -> Categorical:
    """p^(1/T) / Z per dimension; at T = 0, its limit: all mass on the mode, in equal parts if there are several."""
    log_probs = distribution.probs().log()
    below = log_probs - log_probs.amax(1, keepdim=True)  # 0 at the mode: no overflow, however small T is
    return Categorical(below / temperature if temperature else below.masked_fill(below < 0.0, -math.inf))


def cut(distribution: Categorical, top_p: float) -> Categorical:
    """The same without the levels that the likeliest ones before them, of mass `top_p` or more, make unnecessary."""
    probs, order = distribution.probs().sort(1, descending=True)
    unneeded = probs.cumsum(1) - probs >= top_p
    unneeded[:, 0] = False  # the likeliest level stays, also at top_p = 0
    return Categorical(distribution.logits.masked_fill(unneeded.gather(1, order.argsort(1)), -math.inf))
