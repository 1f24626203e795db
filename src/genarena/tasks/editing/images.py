"""Real images in [-1, 1], and pictures of images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.likelihood import to_unit


@dataclass(frozen=True)
class Images:
    """unit: (N, C, H, W) in [-1, 1]. y: labels or attributes. rows: their places in the split."""

    unit: Tensor
    y: Tensor | None
    rows: Tensor


def some(data: ArenaDataModule, name: str, num: int, seed: int = 0) -> Images:
    """At most `num` images of a split (train, val, test), drawn with a fixed seed; a smaller number gives the first of them."""
    split: Split = getattr(data, name)
    rows = torch.randperm(split.size, generator=seeded_generator(seed, split.size))[:num]
    chosen = split[rows]
    return Images(to_unit(chosen.x, data.spec.num_levels), chosen.y, rows)


def picture(unit: Tensor) -> Tensor:
    """Images (..., C, H, W) in [-1, 1], clamped, to uint8; what is not finite is black."""
    return ((unit.nan_to_num(-1.0).clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)


def rmse(unit: Tensor, other: Tensor) -> Tensor:
    """Root mean square difference of images, (N,), in units of [0, 1]."""
    return 0.5 * (unit.clamp(-1.0, 1.0) - other).flatten(1).square().mean(1).sqrt()


def nearest(unit: Tensor, among: Tensor) -> Tensor:
    """The place (N,) in `among` (M, ...) of the image with the smallest Euclidean distance to each of `unit` (N, ...)."""
    return torch.cat([torch.cdist(part, among.flatten(1)).argmin(1) for part in unit.flatten(1).split(256)])
