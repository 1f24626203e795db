"""Examples that are made when they are indexed, for a split that would not fit into memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor


class Lazy:
    """Takes the place of a tensor (N, *shape) of examples; indexing makes the rows, as a tensor.

    index: (N,) int64, the number that each example is made from. make: such numbers (n,) to examples (n, *shape).
    """

    def __init__(self, index: Tensor, make: Callable[[Tensor], Tensor]) -> None:
        self.index, self.make = index, make
        self.shape = torch.Size([len(index), *make(index[:1]).shape[1:]])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Tensor:
        chosen = self.index[rows]
        return self.make(chosen.view(-1)).view(*chosen.shape, *self.shape[1:])

    def batches(self, indices: Iterable[slice | Tensor]) -> Iterator[Tensor]:
        """The rows (n, *shape) of each index in turn."""
        return (self[index] for index in indices)

    def split(self, num_rows: int) -> "Parts":
        """The examples in order, `num_rows` at a time."""
        return Parts(self, num_rows)

    def flatten(self, start_dim: int) -> "Lazy":
        """The same examples as vectors. Raises ValueError unless `start_dim` is 1."""
        if start_dim != 1:
            raise ValueError(
                f"start_dim={start_dim}: examples that are made on request can be flattened from axis 1 only"
            )
        return Lazy(self.index, lambda index: self.make(index).flatten(1))

    def digest(self) -> str:
        """A hash of `index`, 64 hex digits: identifies the examples among all that `make` can give, without making them."""
        return hashlib.sha256(self.index.numpy().tobytes()).hexdigest()


class Parts:
    """Consecutive rows of `Lazy` examples, made one part after the other. A slice has some of the parts."""

    def __init__(self, whole: Lazy, num_rows: int, numbers: range | None = None) -> None:
        self.whole, self.num_rows = whole, num_rows
        self.numbers = range(-(-len(whole) // num_rows)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, chosen: slice) -> "Parts":
        return Parts(self.whole, self.num_rows, self.numbers[chosen])

    def __iter__(self) -> Iterator[Tensor]:
        firsts = (number * self.num_rows for number in self.numbers)
        return self.whole.batches(slice(first, min(first + self.num_rows, len(self.whole))) for first in firsts)
