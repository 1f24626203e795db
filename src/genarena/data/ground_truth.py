"""Data whose generating factors are all known: a picture can be made of every combination of their values.

The combinations form a grid. A combination is a row of value indices (K,), or its number in the grid, in which the last
factor varies fastest.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor


class GroundTruth(ABC):
    """What a data set with known factors gives beside its splits; ask for it with `isinstance(data, GroundTruth)`.

    factor_sizes: name of each factor -> its number of values.
    factors: split -> the value indices (N, K) int64 of its examples.
    """

    factor_sizes: ClassVar[Mapping[str, int]]
    factors: dict[str, Tensor]

    @abstractmethod
    def render(self, factors: Tensor) -> Tensor:
        """The pictures (N, C, H, W) of combinations (N, K) int64. Raises ValueError for a value index out of range."""


def sizes_of(sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes.values())


def combinations(numbers: Tensor, sizes: Mapping[str, int]) -> Tensor:
    """The value indices (N, K) int64 of combinations with these numbers (N,) in the grid."""
    return torch.stack(torch.unravel_index(numbers, sizes_of(sizes)), 1)


def numbers_of(factors: Tensor, sizes: Mapping[str, int]) -> Tensor:
    """The numbers (N,) int64 in the grid of combinations (N, K). Raises ValueError for a value index out of range."""
    if factors.dim() != 2 or factors.shape[1] != len(sizes):
        raise ValueError(f"factors have shape {tuple(factors.shape)}: expected (N, {len(sizes)}), {', '.join(sizes)}")
    number = torch.zeros(len(factors), dtype=torch.long)
    for (name, size), values in zip(sizes.items(), factors.unbind(1), strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < size:
            raise ValueError(
                f"factor {name} has values from {int(values.min())} to {int(values.max())}: expected 0 to {size - 1}"
            )
        number = number * size + values
    return number
