"""Sprites: every combination of five known factors, after dSprites (Matthey, Higgins, Hassabis & Lerchner 2017).

3 shapes x 6 scales x 40 orientations x 32 x 32 positions = 737,280 binary images of 64x64. They are drawn from formulas: the
factors and their values are those of dSprites, the pixels differ. No download.
"""

import hashlib
import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.reading.lazy import Lazy
from genarena.errors import DataError

FACTORS = {
    "shape": 3,
    "scale": 6,
    "orientation": 40,
    "x": 32,
    "y": 32,
}  # number of values, in the order of dSprites; the last one varies fastest
SHAPES = ("square", "ellipse", "heart")
SIZE = 64
REACH = 15  # largest distance from a sprite's centre, in pixels; centres are at 16 .. 47, so none touches the border
NUM_VAL, NUM_TEST = 10_000, 20_000  # distinct images


class Sprites(ArenaDataModule):
    """Levels 0 and 1; `factors` has, per split, the ground truth (N, 5) int64 in the order of `FACTORS`.

    label: the factor used as `y`, the index of its value. Some combinations give the same image (orientation 0 and 2 pi, as
    in dSprites). Images with the same pixels are always in the same split, so no test image is a training image.
    Training images are made per batch; only one drawing per shape, scale and orientation is kept in memory.
    """

    name = "sprites"

    label: str = "shape"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in FACTORS:
            raise DataError(f"data.label={self.label}: expected one of {', '.join(FACTORS)}")
        if self.spec.shape != (1, SIZE, SIZE) or self.spec.num_levels != 2:
            raise DataError(
                f"sprites are 1x{SIZE}x{SIZE} with 2 levels, and data.spec has {self.spec.shape} and "
                f"{self.spec.num_levels}"
            )
        self.spec = replace(self.spec, num_classes=FACTORS[self.label])
        self.factors: dict[str, Tensor] = {}

    def load(self) -> tuple[Split, Split, Split]:
        drawings = draw_all()
        windows = _windows(drawings)
        self._drawn = hashlib.sha256(drawings.numpy().tobytes()).hexdigest()
        splits = []
        for name, index in zip(("train", "val", "test"), _split(drawings), strict=True):
            index = self.cut(name, Split(index)).x
            self.factors[name] = factors_of(index)
            images = Lazy(index, partial(_place, windows))
            y = self.factors[name][:, list(FACTORS).index(self.label)].clone()
            splits.append(Split(images if name == "train" else images[:], y))
        return tuple(splits)

    def identity(self) -> dict[str, Any]:
        return {"label": self.label, "drawings": self._drawn}


def factors_of(index: Tensor) -> Tensor:
    """The index of each factor's value, (N, 5) int64, for image numbers `index` (N,) in 0 .. 737,279."""
    return torch.stack(torch.unravel_index(index, tuple(FACTORS.values())), 1)


def values(factor: str) -> Tensor:
    """The values of a factor, (K,) float64: scale 0.5 .. 1, orientation 0 .. 2 pi, x and y 0 .. 1, shape 0, 1, 2."""
    if factor == "shape":
        return torch.arange(len(SHAPES), dtype=torch.float64)
    low, high = {"scale": (0.5, 1.0), "orientation": (0.0, 2.0 * math.pi)}.get(factor, (0.0, 1.0))
    return torch.linspace(low, high, FACTORS[factor], dtype=torch.float64)


def draw_all() -> Tensor:
    """Drawings of every shape, scale and orientation around the centre, (720, 2 REACH + 1, 2 REACH + 1) uint8, 0 or 1.

    A pixel is 1 if its centre is inside the shape; angles turn anticlockwise.
    """
    offsets = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
    up, right = -offsets[:, None], offsets[None, :]
    drawings = []
    for shape in SHAPES:
        for scale in values("scale"):
            for angle in values("orientation"):
                unit = (REACH + 0.5) * scale  # radius of the circle around the shape
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


def _windows(drawings: Tensor) -> Tensor:
    """All drawings at all positions, (720, 32, 32, 64, 64), as a view of a padded canvas of 6 MB."""
    margin = FACTORS["x"]
    canvas = torch.nn.functional.pad(drawings, (margin, margin, margin, margin))
    return canvas.unfold(1, SIZE, 1).unfold(2, SIZE, 1)


def _place(windows: Tensor, index: Tensor) -> Tensor:
    """Images (N, 1, 64, 64): the centre of a sprite is at column 16 + x, row 16 + y."""
    x, y = index // FACTORS["y"] % FACTORS["x"], index % FACTORS["y"]
    drawing = index // (FACTORS["x"] * FACTORS["y"])
    last = FACTORS["x"] - 1
    images = windows.numpy()[drawing.numpy(), (last - y).numpy(), (last - x).numpy()]  # torch's indexing is 4x slower
    return torch.from_numpy(images).unsqueeze(1)


def _split(drawings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the train, validation and test images. All images with the same pixels go to the same split."""
    twin = torch.unique(drawings, dim=0, return_inverse=True)[1]
    places = FACTORS["x"] * FACTORS["y"]
    distinct = (twin[:, None] * places + torch.arange(places)).flatten()
    num = int(twin.max() + 1) * places
    rank = torch.randperm(num, generator=torch.Generator().manual_seed(2017))[distinct]
    parts = torch.bucketize(rank, torch.tensor([NUM_VAL, NUM_VAL + NUM_TEST]), right=True)  # 0 val, 1 test, 2 train
    return tuple((parts == part).nonzero()[:, 0] for part in (2, 0, 1))
