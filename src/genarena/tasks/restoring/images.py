"""Images of a split, and what is observed of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.spec import DataSpec
from genarena.tasks.linear import degradations
from genarena.tasks.linear.degradations import Degradation
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise


def to_image(levels: Tensor, num_levels: int) -> Tensor:
    """Integer levels (N, C, H, W) to float64 in [0, 1]."""
    return levels.double() / (num_levels - 1)


def to_8_bit(x: Tensor) -> Tensor:
    """Images in [0, 1], clamped and rounded to 256 levels: as a picture file has them."""
    return (x.clamp(0.0, 1.0) * 255.0).round() / 255.0


def order_of(size: int) -> Tensor:
    """The order (size,) in which the examples of a split are taken, with a fixed seed."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Images:
    """x: (N, C, H, W) float64 in [0, 1]. contents: the bytes of each image, which decide its noise. y: labels, or None.
    condition: of each image, or None."""

    x: Tensor
    contents: list[bytes]
    y: Tensor | None = None
    condition: Tensor | None = None

    @classmethod
    def of(cls, split: Split, limit: int, spec: DataSpec) -> "Images":
        """At most `limit` images of a split, drawn with a fixed seed: the first ones of a file may be easier. A smaller limit
        gives the first of a larger one."""
        chosen = split[order_of(split.size)[:limit]]
        contents = [image.numpy().tobytes() for image in chosen.x.contiguous().cpu()]
        condition = chosen.given(spec.condition) if spec.condition is not None else None
        return cls(to_image(chosen.x, spec.num_levels), contents, chosen.y, condition)

    def first(self, num: int) -> "Images":
        """The first `num` of them."""
        y, condition = (None if part is None else part[:num] for part in (self.y, self.condition))
        return Images(self.x[:num], self.contents[:num], y, condition)

    def observed(self, degradation: Degradation, seed: int, num_draws: int = 1) -> Problem:
        """y = A x + sigma n in units of [0, 1]; `num_draws` lanes per image, those of an image side by side."""
        operator = degradation.operator(tuple(self.x.shape[1:]), self.contents, seed)
        n = degradations.noise(self.contents, operator.observed_shape, seed)
        y = operator(self.x) + degradation.sigma * n * operator.observed
        lanes = torch.arange(len(y)).repeat_interleave(num_draws)
        keys = [(seed, "draw", self.contents[lane], k % num_draws) for k, lane in enumerate(lanes.tolist())]
        condition = None if self.condition is None else self.condition[lanes]
        return Problem(operator.rows(lanes), y[lanes], degradation.sigma, Noise.of(keys), condition)
