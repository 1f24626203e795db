"""Two-dimensional densities, easy to plot: continuous (x1, x2), drawn from formulas, so that log p(x) is known.

Four are curves or points plus Gaussian noise. Their density is the integral of the noise's over the curve, by Gauss-Legendre
quadrature with nodes at most 0.6 standard deviations apart, where the rule is exact to rounding.
"""

import math
from typing import Any, NamedTuple

import numpy as np
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


def twenty_five_gaussians(num: int, generator: torch.Generator) -> Tensor:
    """Twenty-five modes on a 5x5 grid."""
    cell = torch.randint(25, (num,), generator=generator)
    return torch.stack([cell // 5, cell % 5], 1) - 2.0 + 0.05 * _noise(num, generator)


def spiral(num: int, generator: torch.Generator) -> Tensor:
    """A spiral with two arms."""
    angle = 3.0 * math.pi * torch.rand(num, generator=generator).sqrt()
    sign = 2.0 * torch.randint(2, (num,), generator=generator).float() - 1.0
    arm = (sign * angle / 4.0)[:, None] * torch.stack([-angle.cos(), angle.sin()], 1)
    return arm + 0.06 * _noise(num, generator)


class Curve(NamedTuple):
    """points (K, 2) of a curve, or all of its points; their log-weights (K,); std: of the noise in both coordinates."""

    points: Tensor
    log_weights: Tensor
    std: float

    def log_density(self, x: Tensor) -> Tensor:
        """log sum_k w_k N(x; point_k, std^2 I), (N,) nats, for x (N, 2)."""
        parts = [
            (self.log_weights - 0.5 * (torch.cdist(rows, self.points) / self.std).square()).logsumexp(1)
            for rows in x.double().split(1000)
        ]
        return torch.cat(parts) - math.log(2.0 * math.pi * self.std**2)


def _nodes(end: float, count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (count,) of the integral from 0 to `end`."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(0.5 * end * (nodes + 1.0)), torch.from_numpy(0.5 * end * weights)


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def moons_density(x: Tensor) -> Tensor:
    angle, weight = _nodes(math.pi, 160)
    upper, middle = _circle(angle), torch.tensor([0.5, 0.25], dtype=torch.float64)
    points = 1.5 * (torch.cat([upper, torch.tensor([1.0, 0.5]) - upper]) - middle)
    return Curve(points, (weight / (2.0 * math.pi)).repeat(2).log(), 1.5 * 0.06).log_density(x)


def circles_density(x: Tensor) -> Tensor:
    angle, weight = _nodes(2.0 * math.pi, 512)
    points = torch.cat([_circle(angle), 2.0 * _circle(angle)])
    return Curve(points, (weight / (4.0 * math.pi)).repeat(2).log(), 0.08).log_density(x)


def checkerboard_density(x: Tensor) -> Tensor:
    """1/8 on the closed dark squares: rounding may put a point on the upper rim of its square."""
    dark = torch.zeros(len(x), dtype=torch.bool)
    for column in (x[:, 0].floor(), x[:, 0].ceil() - 1.0):
        for row in (x[:, 1].floor(), x[:, 1].ceil() - 1.0):
            on_board = (torch.stack([column, row]) >= -2.0).all(0) & (torch.stack([column, row]) <= 1.0).all(0)
            dark |= on_board & ((column + row) % 2 == 0)
    values = torch.full((len(x),), -math.inf, dtype=torch.float64)
    return values.masked_fill_(dark, -math.log(8.0))


def eight_gaussians_density(x: Tensor) -> Tensor:
    points = 2.0 * _circle(torch.arange(8, dtype=torch.float64) * (math.pi / 4.0))
    return Curve(points, torch.full((8,), -math.log(8.0), dtype=torch.float64), 0.15).log_density(x)


def twenty_five_gaussians_density(x: Tensor) -> Tensor:
    side = torch.arange(5, dtype=torch.float64) - 2.0
    weights = torch.full((25,), -math.log(25.0), dtype=torch.float64)
    return Curve(torch.cartesian_prod(side, side), weights, 0.05).log_density(x)


def spiral_density(x: Tensor) -> Tensor:
    """The angle has the density 2 a / (3 pi)^2 on [0, 3 pi]."""
    angle, weight = _nodes(3.0 * math.pi, 1024)
    arm = (angle / 4.0)[:, None] * torch.stack([-angle.cos(), angle.sin()], 1)
    log_weights = (weight * angle / (3.0 * math.pi) ** 2).log()
    return Curve(torch.cat([arm, -arm]), log_weights.repeat(2), 0.06).log_density(x)


DENSITIES = {
    "moons": moons_density,
    "circles": circles_density,
    "checkerboard": checkerboard_density,
    "eight_gaussians": eight_gaussians_density,
    "twenty_five_gaussians": twenty_five_gaussians_density,
    "spiral": spiral_density,
}
DISTRIBUTIONS = {
    draw.__name__: draw for draw in (moons, circles, checkerboard, eight_gaussians, twenty_five_gaussians, spiral)
}


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

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x), (N,) float64 nats, of points (N, 2); -inf where the density is 0."""
        return DENSITIES[self.distribution](x)
