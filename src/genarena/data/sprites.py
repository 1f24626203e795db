"""Sprites: every combination of five known factors, after dSprites (Matthey, Higgins, Hassabis & Lerchner 2017).

3 shapes x 6 scales x 40 orientations x 32 x 32 positions = 737,280 binary images of 64x64. They are drawn from formulas: the
factors and their values are those of dSprites, the pixels differ. No download.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.factor_set import FactorSet

FACTORS = {
    "shape": 3,
    "scale": 6,
    "orientation": 40,
    "x": 32,
    "y": 32,
}  # number of values, in the order of dSprites; the last one varies fastest
SHAPES = ("square", "ellipse", "heart")


class Sprites(FactorSet):
    """Levels 0 and 1; `factors` has, per split, the ground truth (N, 5) int64 in the order of `FACTORS`.

    Some combinations give the same image (orientation 0 and 2 pi, as in dSprites). Only one drawing per shape, scale and
    orientation is kept in memory.

    reach: largest distance from a sprite's centre, in pixels; no centre is so near to the border that a sprite touches it.
    """

    name = "sprites"
    factor_sizes = FACTORS
    held_out = 10_000, 20_000
    shape = 1, 64, 64
    num_levels = 2
    reach: ClassVar[int] = 15

    def open(self) -> Tensor:
        drawings = draw_all(self.factor_sizes, self.reach)
        self._drawn = hashlib.sha256(drawings.numpy().tobytes()).hexdigest()
        self._windows = _windows(drawings, self.factor_sizes, self.shape[1])
        twins = torch.unique(drawings, dim=0, return_inverse=True)[1]
        places = self.factor_sizes["x"] * self.factor_sizes["y"]
        return (twins[:, None] * places + torch.arange(places)).flatten()

    def pictures(self, number: Tensor) -> Tensor:
        """The centre of a sprite is at column `reach` + 1 + x, row `reach` + 1 + y."""
        wide, high = self.factor_sizes["x"], self.factor_sizes["y"]
        x, y, drawing = number // high % wide, number % high, number // (wide * high)
        places = drawing.numpy(), (high - 1 - y).numpy(), (wide - 1 - x).numpy()
        return torch.from_numpy(self._windows.numpy()[places]).unsqueeze(1)  # torch's indexing is 4x slower

    def identity(self) -> dict[str, Any]:
        return {"label": self.label, "drawings": self._drawn}


def values(factor: str, sizes: Mapping[str, int] = FACTORS) -> Tensor:
    """The values of a factor, (K,) float64: scale 0.5 .. 1, orientation 0 .. 2 pi, x and y 0 .. 1, shape 0, 1, 2."""
    if factor == "shape":
        return torch.arange(len(SHAPES), dtype=torch.float64)
    low, high = {"scale": (0.5, 1.0), "orientation": (0.0, 2.0 * math.pi)}.get(factor, (0.0, 1.0))
    return torch.linspace(low, high, sizes[factor], dtype=torch.float64)


def draw_all(sizes: Mapping[str, int] = FACTORS, reach: int = Sprites.reach) -> Tensor:
    """Drawings of every shape, scale and orientation around the centre, (N, 2 reach + 1, 2 reach + 1) uint8, 0 or 1.

    A pixel is 1 if its centre is inside the shape; angles turn anticlockwise.
    """
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    up, right = -offsets[:, None], offsets[None, :]
    drawings = []
    for shape in SHAPES:
        for scale in values("scale", sizes):
            for angle in values("orientation", sizes):
                unit = (reach + 0.5) * scale  # radius of the circle around the shape
                u = (right * angle.cos() + up * angle.sin()) / unit
                v = (up * angle.cos() - right * angle.sin()) / unit
                drawings.append(_inside(shape, u, v))
    return torch.stack(drawings).to(torch.uint8)


def _inside(shape: str, u: Tensor, v: Tensor) -> Tensor:
    """Whether points (u, v) are inside a shape; its bounding circle is the unit circle."""
    if shape == "square":
        return torch.maximum(u.abs(), v.abs()) <= math.sqrt(0.5)
    if shape == "ellipse":
        return u.square() + 4.0 * v.square() <= 1.0
    u, v = 1.25 * u, 1.25 * v + 0.25  # the heart (u^2 + v^2 - 1)^3 = u^2 v^3 and the smallest circle around it
    return (u.square() + v.square() - 1.0) ** 3 <= u.square() * v**3


def _windows(drawings: Tensor, sizes: Mapping[str, int], size: int) -> Tensor:
    """All drawings at all positions, (N, y, x, size, size), as a view of a padded canvas."""
    wide, high = sizes["x"], sizes["y"]
    canvas = torch.nn.functional.pad(drawings, (wide, wide, high, high))
    return canvas.unfold(1, size, 1).unfold(2, size, 1)
