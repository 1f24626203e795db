"""The contract of the classical methods."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator


class Imputer(ABC):
    """Fitted to training rows x (N, D) float64, NaN where an entry is hidden, each column standardised by what is
    observed of it; then it fills rows it has not seen. A filled row does not depend on the other rows that are
    filled with it.

    Every column has an observed entry in training. seed: of all that is random.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""

    @abstractmethod
    def __init__(self, train: Tensor, seed: int = 0) -> None: ...

    @classmethod
    def fits(cls, train: Tensor) -> bool:
        """Whether fitting to these rows takes seconds, not minutes."""
        return True

    @abstractmethod
    def fill(self, x: Tensor) -> Tensor:
        """(N, D): the hidden entries by the method's estimate; observed ones as they are."""

    def draws(self, x: Tensor, num: int) -> Tensor | None:
        """(num, N, D) random completions; None for a method that has none."""
        return None


def uniforms(x: Tensor, num: int, seed: int, size: int) -> Tensor:
    """Numbers in [0, 1), (num, N, size), that belong to the content of a row (N, D) and the seed."""
    contents = [row.numpy().tobytes() for row in x.contiguous()]
    drawn = [
        torch.rand(num, size, generator=seeded_generator(seed, "impute", each), dtype=x.dtype) for each in contents
    ]
    return torch.stack(drawn, 1)


def normals(x: Tensor, num: int, seed: int) -> Tensor:
    """Standard normal numbers (num, *x.shape) that belong to the content of a row (N, D) and the seed."""
    contents = [row.numpy().tobytes() for row in x.contiguous()]
    shape = (num, x.shape[1])
    drawn = [torch.randn(shape, generator=seeded_generator(seed, "impute", each), dtype=x.dtype) for each in contents]
    return torch.stack(drawn, 1)
