"""Two-dimensional densities, easy to plot: continuous (x1, x2), drawn from formulas."""

import math
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import DataError
from genarena.options.values import Count


def _noise(num: int, generator: torch.Generator) -> Tensor:
    return torch.randn(num, 2, generator=generator)


def _angles(num: int, generator: torch.Generator, turn: float = 2.0 * math.pi) -> Tensor:
    return turn * torch.rand(num, generator=generator)


def moons(num: int, generator: torch.Generator) -> Tensor:
    """Two interleaved half circles."""
    upper = torch.randint(2, (num,), generator=generator).float()
    angle = _angles(num, generator, math.pi)
    x1 = torch.where(upper > 0, torch.cos(angle), 1.0 - torch.cos(angle))
    x2 = torch.where(upper > 0, torch.sin(angle), 0.5 - torch.sin(angle))
    return (torch.stack([x1 - 0.5, x2 - 0.25], 1) + 0.06 * _noise(num, generator)) * 1.5


def circles(num: int, generator: torch.Generator) -> Tensor:
    """Two concentric circles."""
    radius = 1.0 + torch.randint(2, (num,), generator=generator).float()
    angle = _angles(num, generator)
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1) + 0.08 * _noise(num, generator)


def checkerboard(num: int, generator: torch.Generator) -> Tensor:
    """Uniform on the eight dark squares of a 4x4 board on [-2, 2]^2; its entropy is log 8 = 2.079 nats."""
    column = torch.randint(4, (num,), generator=generator)
    row = 2 * torch.randint(2, (num,), generator=generator) + column % 2
    return torch.stack([column, row], 1) - 2.0 + torch.rand(num, 2, generator=generator)


def eight_gaussians(num: int, generator: torch.Generator) -> Tensor:
    """Eight modes on a circle."""
    angle = torch.randint(8, (num,), generator=generator) * (math.pi / 4.0)
    return 2.0 * torch.stack([angle.cos(), angle.sin()], 1) + 0.15 * _noise(num, generator)


def spiral(num: int, generator: torch.Generator) -> Tensor:
    """A spiral with two arms."""
    angle = 3.0 * math.pi * torch.rand(num, generator=generator).sqrt()
    sign = 2.0 * torch.randint(2, (num,), generator=generator).float() - 1.0
    arm = (sign * angle / 4.0)[:, None] * torch.stack([-angle.cos(), angle.sin()], 1)
    return arm + 0.06 * _noise(num, generator)


DISTRIBUTIONS = {draw.__name__: draw for draw in (moons, circles, checkerboard, eight_gaussians, spiral)}


class Toy2D(ArenaDataModule):
    """`distribution`: one of `DISTRIBUTIONS`. Raises DataError for another name."""

    name = "toy2d"

    distribution: str = "moons"
    num_train: Count = 50_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribution not in DISTRIBUTIONS:
            raise DataError(f"data.distribution={self.distribution}: expected one of {', '.join(DISTRIBUTIONS)}")

    def load(self) -> tuple[Split, Split, Split]:
        draw = DISTRIBUTIONS[self.distribution]
        sizes = (self.num_train, 5_000, 10_000)
        return tuple(Split(draw(n, torch.Generator().manual_seed(seed))) for seed, n in enumerate(sizes))

    def identity(self) -> dict[str, Any]:
        return {"distribution": self.distribution}
