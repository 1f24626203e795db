"""The floors of a data set, made once for all cases."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.tasks.floors.base import Floor
from genarena.tasks.floors.bicubic import Bicubic
from genarena.tasks.floors.biharmonic import Biharmonic
from genarena.tasks.floors.blur import GaussianBlur
from genarena.tasks.floors.fill import Fill
from genarena.tasks.floors.lmmse import LMMSE
from genarena.tasks.floors.nearest import Nearest, TenNearest
from genarena.tasks.floors.total_variation import TotalVariation

FLOORS: tuple[type[Floor], ...] = (
    Fill,
    LMMSE,
    Nearest,
    TenNearest,
    Biharmonic,
    Bicubic,
    TotalVariation,
    GaussianBlur,
)
LARGEST = 2**28  # numbers of the training images in use, 1 GiB


@dataclass
class _Kept:
    """The floors of the last data set, by its id and their kinds."""

    key: tuple[Any, ...] = ()
    floors: tuple[Floor, ...] = ()


_kept = _Kept()


def of_data(data: ArenaDataModule, kinds: tuple[type[Floor], ...] = FLOORS) -> tuple[Floor, ...]:
    """One of each kind. They are made again if the data is another than that of the last call."""
    key = (data.facts["id"], *kinds)
    if key != _kept.key:
        train = training_images(data)
        _kept.key, _kept.floors = key, tuple(kind(train) for kind in kinds)
    return _kept.floors


def most(shape: tuple[int, ...]) -> int:
    """Training images of a shape that are used at most."""
    return max(1, LARGEST // torch.Size(shape).numel())


def training_images(data: ArenaDataModule) -> Tensor:
    """Images (N, C, H, W) in [0, 1], float32: all, or as many as fit in a gigabyte, drawn with a fixed seed."""
    num = min(data.train.size, most(data.spec.shape))
    order = torch.randperm(data.train.size, generator=torch.Generator().manual_seed(0))[:num]
    chosen = data.train if num == data.train.size else data.train[order.sort().values]
    return chosen[:].x.float().div_(data.spec.num_levels - 1)
