"""What a data set looks like to a model: `DataSpec`, and what it hands over: `Batch`."""

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
    """Shape and alphabet of one example.

    shape: (C, H, W) for images, (D,) for vectors.
    num_levels: size of the alphabet of each dimension (256 for 8-bit images); None for continuous data.
    num_classes: number of labels; None where the set has none.
    condition: what `y` is ("label" (N,), "attributes" (N, K) of 0 and 1); None where the models are unconditional.
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
        """Whether examples can be shown in a picture: images, and points in the plane."""
        return self.is_image or self.num_dims == 2

    @property
    def is_discrete(self) -> bool:
        return self.num_levels is not None

    def require_image(self, model: str) -> None:
        """Raise ValueError when `model` (a name, for the message) is asked to take anything but discrete images."""
        if not self.is_image or not self.is_discrete:
            raise ValueError(
                f"{model} models images of integer levels, and this data set has shape {self.shape} "
                f"with num_levels={self.num_levels}"
            )
