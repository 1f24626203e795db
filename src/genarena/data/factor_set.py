"""Sets that hold a picture of every combination of known factors, split at random into train, validation and test."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.ground_truth import GroundTruth, combinations, numbers_of
from genarena.data.reading.lazy import Lazy
from genarena.errors import DataError


class FactorSet(ArenaDataModule, GroundTruth):
    """A subclass writes `factor_sizes`, `held_out`, `shape`, `num_levels`, `open` and `pictures`.

    label: the factor used as `y`, the index of its value. Combinations whose pictures have the same pixels are always in the
    same split, so no test image is a training image. Training images are made per batch.
    held_out: numbers of different validation and test images.
    """

    held_out: ClassVar[tuple[int, int]]
    shape: ClassVar[tuple[int, int, int]]
    num_levels: ClassVar[int]

    label: str = "shape"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in self.factor_sizes:
            raise DataError(f"data.label={self.label}: expected one of {', '.join(self.factor_sizes)}")
        if self.spec.shape != self.shape or self.spec.num_levels != self.num_levels:
            shape = "x".join(map(str, self.shape))
            raise DataError(
                f"{self.name} are {shape} with {self.num_levels} levels, and data.spec has {self.spec.shape} and "
                f"{self.spec.num_levels}"
            )
        self.spec = replace(self.spec, num_classes=self.factor_sizes[self.label])
        self.factors: dict[str, Tensor] = {}

    @abstractmethod
    def open(self) -> Tensor:
        """Make ready what `pictures` reads. Returns twins (N,) int64: a number per combination of the grid, 0, 1, 2, ...,
        the same for combinations whose pictures have the same pixels."""

    @abstractmethod
    def pictures(self, number: Tensor) -> Tensor:
        """The pictures (n, *shape) of combinations with these numbers (n,) in the grid."""

    def render(self, factors: Tensor) -> Tensor:
        return self.pictures(numbers_of(factors, self.factor_sizes))

    def load(self) -> tuple[Split, Split, Split]:
        splits = []
        for name, index in zip(("train", "val", "test"), split_of(self.open(), self.held_out), strict=True):
            index = self.cut(name, Split(index)).x
            self.factors[name] = combinations(index, self.factor_sizes)
            images = Lazy(index, self.pictures)
            y = self.factors[name][:, list(self.factor_sizes).index(self.label)].clone()
            splits.append(Split(images if name == "train" else images[:], y))
        return tuple(splits)

    def identity(self) -> dict[str, Any]:
        return {"label": self.label}


def split_of(twins: Tensor, held_out: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the train, validation and test images. All images with the same pixels go to the same split."""
    num_val, num_test = held_out
    rank = torch.randperm(int(twins.max()) + 1, generator=torch.Generator().manual_seed(2017))[twins]
    parts = torch.bucketize(rank, torch.tensor([num_val, num_val + num_test]), right=True)  # 0 val, 1 test, 2 train
    return tuple((parts == part).nonzero()[:, 0] for part in (2, 0, 1))
