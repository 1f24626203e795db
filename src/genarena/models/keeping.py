"""For models that go dimension by dimension: how values are chosen or kept, and lanes that change places."""

from typing import Protocol

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution


class Choose(Protocol):
    def __call__(self, distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        """Values (N,) of one dimension; `distribution`, of that dimension, is conditional on the dimensions before it.

        Vectors: `channel` is the dimension, row and column are 0.
        """


def draw(distribution: PixelDistribution, channel: int = 0, row: int = 0, column: int = 0) -> Tensor:
    """A `Choose` that draws each value at random; (N,) floats, so that a NaN does not become a level."""
    return distribution.draw().flatten()


class Select(Protocol):
    def __call__(self) -> Tensor | None:
        """Lanes (N,): lane n goes on from the values that lane index[n] has so far, under its own condition; None: no change.

        Asked after each dimension, or after a few that belong together: the channels of a pixel, the pixels of a token.
        """


def keeping(choose: Choose, keep: Tensor) -> Choose:
    """The values of `keep` (N, *shape) where it is not NaN, else those of `choose`, which is not asked if all are known."""
    places = keep if keep.dim() == 4 else keep[:, :, None, None]

    def chosen(distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        given = places[:, channel, row, column].to(torch.float32)
        free = given.isnan()
        if not free.any():
            return given
        return torch.where(free, choose(distribution, channel=channel, row=row, column=column), given)

    return chosen


def move(index: Tensor, *tensors: Tensor, dim: int = 0) -> None:
    """In place: row n of each tensor becomes its row index[n], along `dim`. Only rows that change are copied."""
    to = (index != torch.arange(len(index), device=index.device)).nonzero().squeeze(1)
    for tensor in tensors:
        tensor.index_copy_(dim, to, tensor.index_select(dim, index[to]))
