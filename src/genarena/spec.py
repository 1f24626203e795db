"""`DataSpec`, the description of a data set for models, and `Batch`, a mini-batch."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One mini-batch: `x` (N, *shape), integer levels (uint8) or floats; `y` (N,) int64 labels or None."""

    x: Tensor
    y: Tensor | None = None


@dataclass(frozen=True)
class DataSpec:
    """Shape and levels of one example. Raises ValueError for a shape or a number of levels that is not supported.

    shape: (C, H, W) for images, (D,) for vectors.
    num_levels: number of levels of each dimension, 2 to 256 (256 for 8-bit images); None for continuous data.
    num_classes: number of labels; None if the set has no labels.
    condition: the kind of `y`: "label" (N,), or "attributes" (N, K) of 0 and 1; None for unconditional models.
    """

    shape: tuple[int, ...]
    num_levels: int | None = None
    num_classes: int | None = None
    condition: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise ValueError(f"shape={self.shape}: expected (C, H, W) or (D,), every size at least 1")
        if self.num_levels is not None and not 2 <= self.num_levels <= 256:
            raise ValueError(f"num_levels={self.num_levels}: expected 2 to 256, or null for continuous data")

    @property
    def num_dims(self) -> int:
        """Number of scalar dimensions D of one example."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def is_drawable(self) -> bool:
        """Whether examples can be drawn: images, and points in the plane."""
        return self.is_image or self.num_dims == 2

    @property
    def is_discrete(self) -> bool:
        return self.num_levels is not None

    def require_image(self, model: str) -> None:
        """Raise ValueError unless the data is images of integer levels. model: a name, for the message."""
        if not self.is_image or not self.is_discrete:
            raise ValueError(
                f"{model} models images of integer levels, and this data set has shape {self.shape} "
                f"with num_levels={self.num_levels}"
            )
