"""Splits in memory, batches as a function of (seed, batch number), and the DataModule that every data set extends."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from genarena.data.lazy import Lazy
from genarena.errors import DataError
from genarena.spec import Batch, DataSpec

__all__ = ["ArenaDataModule", "Batches", "DataError", "Split", "mirrored", "seeded_split"]


class Split(NamedTuple):
    """`x` (N, *shape) uint8 levels or floats, or what makes them; `y` (N,) int64 labels or None."""

    x: Tensor | Lazy
    y: Tensor | None = None

    def __getitem__(self, index: Any) -> "Split":  # rows, not tuple fields
        return Split(self.x[index], None if self.y is None else self.y[index])

    @property
    def size(self) -> int:
        return len(self.x)


class Batches:
    """Iterates over a split held in memory.

    Batch k of a shuffled loader depends on (seed, k) alone: epoch e is the permutation drawn with (seed, e), and a
    transform draws from a generator seeded with (seed, k). A run that stopped after k batches therefore goes on exactly
    by starting at batch k. `batch_size` counts over all ranks; each rank takes its own share of every batch.
    """

    def __init__(self, data: "ArenaDataModule", split: Split, batch_size: int, seed: int = 0, shuffle: bool = False,
                 start: int = 0, rank: int = 0, world_size: int = 1) -> None:  # fmt: skip
        if batch_size % world_size:
            raise ValueError(f"batch_size={batch_size}: must be a multiple of the number of devices, {world_size}")
        self.data, self.split, self.seed, self.shuffle, self.start = data, split, seed, shuffle, start
        self.batch_size = min(batch_size, split.size) if shuffle else batch_size
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        if self.shuffle:
            raise TypeError("a shuffled loader goes on for ever")
        return -(-self.split.size // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if not self.shuffle:
            for first in range(self.rank * self.batch_size // self.world_size, self.split.size, self.batch_size):
                yield Batch(*self.split[first : first + self.batch_size // self.world_size])
            return
        per_epoch = self.split.size // self.batch_size  # the incomplete batch is dropped; the next epoch reshuffles
        number, order, epoch = self.start, None, -1
        while True:
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                order = torch.randperm(self.split.size, generator=_generator(self.seed, epoch, 0))
            first = (number % per_epoch) * self.batch_size
            index = order[first : first + self.batch_size][self.rank :: self.world_size]
            x, y = self.split[index]
            yield Batch(self.data.augment(x, _generator(self.seed, number, 1 + self.rank)), y)
            number += 1


def _generator(*key: int) -> torch.Generator:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class ArenaDataModule(LightningDataModule, ABC):
    """A data set with fixed train/validation/test splits, all in memory.

    A subclass writes `load`, and `augment` where training batches are changed at random. `seed` orders the training
    batches and nothing else; `num_val` limits how many validation examples are looked at during training.
    """

    name: ClassVar[str]
    flip = False  # whether training images are mirrored with probability 1/2

    def __init__(self, spec: DataSpec, batch_size: int = 128, seed: int = 0, root: str = "data",
                 num_val: int | None = None) -> None:  # fmt: skip
        super().__init__()
        self.spec, self.batch_size, self.seed, self.root, self.num_val = spec, batch_size, seed, root, num_val
        self.train: Split | None = None
        self.val: Split | None = None
        self.test: Split | None = None

    @abstractmethod
    def load(self) -> tuple[Split, Split, Split]:
        """Train, validation and test split; raises DataError with one line when the data is not there or is broken."""

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What happens to a training batch each time it is drawn (flips, binarisation, ...)."""
        return mirrored(x, generator) if self.flip else x

    @property
    def seen(self) -> Tensor | None:
        """Every example that training may have shown (N, *shape), for those who ask what was memorised; None where each
        showing is a draw of its own."""
        return torch.cat([self.train.x, self.train.x.flip(-1)]) if self.flip else self.train.x

    def identity(self) -> dict[str, Any]:
        """What, beside the pixels themselves, tells this data set from others: resolution, crop, interpolation, ..."""
        return {}

    @property
    def training_split(self) -> Split:
        """What training batches are drawn from, before `augment`; differs from `train` where augmenting changes levels."""
        return self.train

    @property
    def facts(self) -> dict[str, Any]:
        """The record of the data set in a row; `id` is `<name>-<hash of all the rest>`."""
        facts = {"name": self.name, "shape": list(self.spec.shape), "num_levels": self.spec.num_levels,
                 "splits": {name: getattr(self, name).size for name in ("train", "val", "test")},
                 "checksum": self._checksum, **self.identity()}  # fmt: skip
        digest = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
        return {"id": f"{self.name}-{digest[:8]}", **facts}

    def setup(self, stage: str | None = None) -> None:
        if self.train is not None:
            return
        self.train, self.val, self.test = self.load()
        hasher = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            if split.size < 1:
                raise DataError(f"{self.name}: one of its splits is empty")
            if tuple(split.x.shape[1:]) != self.spec.shape:
                raise DataError(
                    f"{self.name}: examples have shape {tuple(split.x.shape[1:])}, expected {self.spec.shape}"
                )
            hasher.update(split.x.digest() if isinstance(split.x, Lazy) else split.x.contiguous().numpy().tobytes())
            hasher.update(b"" if split.y is None else split.y.numpy().tobytes())
        self._checksum = hasher.hexdigest()

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        return Batches(self, self.training_split, self.batch_size, self.seed, shuffle=True,
                       start=trainer.lightning_module.batches_seen,
                       rank=trainer.global_rank, world_size=trainer.world_size)  # fmt: skip

    def val_dataloader(self) -> Batches:
        return Batches(self, self.val[: self.num_val], 256)


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with probability 1/2."""
    chosen = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
    return torch.where(chosen, x.flip(-1), x)


def seeded_split(whole: Split, val: int, test: int) -> tuple[Split, Split, Split]:
    """Train, validation and test part of a set that comes without an official split; the same for every run seed."""
    order = torch.randperm(whole.size, generator=_generator(0, whole.size))
    parts = order[val + test :], order[:val], order[val : val + test]
    return tuple(whole[part] for part in parts)
