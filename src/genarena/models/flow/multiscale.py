"""Squeeze, and the multi-scale architecture that factors out half of the channels (RealNVP, sec. 3.6)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.priors import LearnedPrior, SplitPrior
from genarena.nets.sizes import divisors, fitting

Shape = tuple[int, int, int]


class Squeeze(Bijection):
    """(N, C, H, W) to (N, 4C, H/2, W/2): every 2x2 patch becomes four channels."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return F.pixel_shuffle(z, 2)


def squeezed(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape after `Squeeze`."""
    return 4 * shape[0], shape[1] // 2, shape[2] // 2


def halved(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape that remains after half of the channels are factored out."""
    return shape[0] // 2, shape[1], shape[2]


def num_halvings(shape: tuple[int, int, int]) -> int:
    """How often height and width can both be halved: 2 for 28x28, 5 for 32x32, 0 for odd sizes."""
    return (math.gcd(shape[1], shape[2]) & -math.gcd(shape[1], shape[2])).bit_length() - 1


def num_scales(shape: Shape, asked: int | None) -> int:
    """How often an image (C, H, W) is squeezed: as asked; None: twice, or once where it cannot be halved twice. Raises
    ValueError for an image that cannot be halved that often, or at all."""
    if num_halvings(shape) == 0:
        raise ValueError(
            f"height and width are halved, and this data set is {shape[1]}x{shape[2]}: expected even sizes"
        )
    return fitting("num_levels", asked, 2, range(1, num_halvings(shape) + 1), f"images of {shape[1]}x{shape[2]}")


def first_patch(shape: Shape, asked: int | None) -> int:
    """The side of the squares that coupling networks see as channels on the first scale of a (C, H, W) image of even sides: as
    asked; None: 2, or 1 where 2 does not divide the halved sides. Raises ValueError for one that does not divide them."""
    sides = divisors(shape[1] // 2, shape[2] // 2)
    return fitting("patch", asked, 2, sides, f"images of {shape[1]}x{shape[2]}, which are halved first")


class MultiScale(Bijection):
    """z = (z_1, ..., z_L), flattened to (N, D): after every level but the last, half of the channels is factored out.

    levels: one bijection per level; level i + 1 works on the half of the channels that level i keeps.
    shapes: (C, H, W) of each level's output.
    """

    def __init__(self, levels: list[Bijection], shapes: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.latent_shapes = [halved(shape) for shape in shapes[:-1]] + [shapes[-1]]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total, latents = x.new_zeros(len(x)), []
        for index, level in enumerate(self.levels):
            x, log_det = level(x, context)
            total = total + log_det
            if index < len(self.levels) - 1:
                x, z = x.chunk(2, 1)
                latents.append(z.flatten(1))
        return torch.cat([*latents, x.flatten(1)], 1), total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        parts = z.split([math.prod(shape) for shape in self.latent_shapes], 1)
        parts = [part.unflatten(1, shape) for part, shape in zip(parts, self.latent_shapes, strict=True)]
        x = self.levels[-1].inverse(parts[-1], context)
        for level, part in zip(reversed(self.levels[:-1]), reversed(parts[:-1]), strict=True):
            x = level.inverse(torch.cat([x, part], 1), context)
        return x


def steps_of_flow(
    shape: Shape, num_levels: int, num_steps: int, step: Callable[[Shape], Bijection], factor_out: bool = True
) -> MultiScale:
    """Squeeze, `num_steps` times `step(shape)`, and a learned prior, on each of `num_levels` scales (Glow, fig. 2b).

    factor_out: False keeps all channels until the last scale, which alone has a prior.
    Raises ValueError if the image cannot be halved that often.
    """
    num_levels, levels, shapes, layers = num_scales(shape, num_levels), [], [], []
    for index in range(num_levels):
        shape = squeezed(shape)
        layers += [Squeeze(), *(step(shape) for _ in range(num_steps))]
        if index == num_levels - 1 or factor_out:
            prior = SplitPrior(shape[0]) if index < num_levels - 1 else LearnedPrior(shape)
            levels.append(Chain(*layers, prior))
            shapes.append(shape)
            shape, layers = halved(shape), []
    return MultiScale(levels, shapes)
