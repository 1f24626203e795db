"""Random numbers of many lanes, one generator each: a lane's numbers do not depend on the other lanes of its batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator


class Noise:
    """Standard normal and uniform numbers for N lanes. Each call goes on with every lane's own stream.

    A lane's key decides its numbers, on every machine, and whatever the batch size and the order of the lanes are.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = list(generators)

    @classmethod
    def of(cls, keys: Sequence[tuple]) -> "Noise":
        """keys: one per lane, e.g. (seed, the bytes of its image, number of the draw)."""
        return cls([seeded_generator(*key) for key in keys])

    def __len__(self) -> int:
        return len(self.generators)

    def __getitem__(self, lanes: slice | Tensor) -> "Noise":
        """The noise of some lanes, a slice or indices; their streams are shared with this object."""
        found = self.generators[lanes] if isinstance(lanes, slice) else [self.generators[k] for k in lanes.tolist()]
        return Noise(found)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape (N, ...), type and device of `like`."""
        return self._drawn(torch.randn, like)

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers in [0, 1) of the shape (N, ...), type and device of `like`."""
        return self._drawn(torch.rand, like)

    def _drawn(self, draw: object, like: Tensor) -> Tensor:
        if len(like) != len(self):
            raise ValueError(f"{len(like)} lanes: expected {len(self)}")
        made = [draw(like.shape[1:], generator=each, dtype=like.dtype) for each in self.generators]
        return torch.stack(made).to(like.device)
