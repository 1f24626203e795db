"""Splits in memory, batches as a function of (seed, batch number), and the DataModule that every data set extends."""

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from genarena.data.lazy import Lazy
from genarena.errors import DataError
from genarena.spec import Batch, DataSpec

__all__ = ["ArenaDataModule", "Batches", "DataError", "Split", "mirrored", "seeded_generator", "seeded_split", "tenths"]
HASHED_AT_ONCE = 4096


class Split(NamedTuple):
    """`x` (N, *shape) uint8 levels or floats; `y` (N,) int64 labels, (N, K) attributes that are 0 or 1, or None.

    `x` is a tensor (in memory, or a file that is mapped into it), or makes or decodes what is asked for.
    """

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
    by starting at batch k. `batch_size` counts over all ranks there; each rank takes its own share of every batch. Without
    shuffling each rank takes whole batches in turn, so that what is done with a batch does not depend on their number.
    """

    def __init__(self, data: "ArenaDataModule", split: Split, batch_size: int, seed: int = 0, shuffle: bool = False,
                 start: int = 0, rank: int = 0, world_size: int = 1) -> None:  # fmt: skip
        self.data, self.split, self.seed, self.shuffle, self.start = data, split, seed, shuffle, start
        self.batch_size = min(batch_size, split.size) if shuffle else batch_size
        self.rank, self.world_size = rank, world_size
        if shuffle and self.batch_size % world_size:
            raise ValueError(f"batch_size={self.batch_size}: must be a multiple of the number of ranks, {world_size}")

    def __len__(self) -> int:
        if self.shuffle:
            raise TypeError("a shuffled loader goes on for ever")
        return max(1, len(self._own_batches()))

    def _own_batches(self) -> range:
        """Where this rank's batches begin, without shuffling."""
        return range(self.rank * self.batch_size, self.split.size, self.world_size * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        ahead, now = itertools.tee(self._indices())  # pictures are decoded ahead of the batch that is asked for
        x = self.split.x
        wanted = (index for _, index in ahead)
        drawn = (_rows(x, index) for index in wanted) if isinstance(x, Tensor) else x.batches(wanted)
        for images, (number, index) in zip(drawn, now, strict=True):
            y = None if self.split.y is None else self.split.y[index]
            if self.shuffle:
                images = self.data.augment(images, seeded_generator(self.seed, number, 1 + self.rank))
            yield Batch(images, y)

    def _indices(self) -> Iterator[tuple[int, Tensor | slice]]:
        """Batch number, and which examples this rank shows in it."""
        if not self.shuffle:
            for number, first in enumerate(self._own_batches() or [self.split.size]):  # a rank without any: no examples
                yield number, slice(first, min(first + self.batch_size, self.split.size))
            return
        per_epoch = self.split.size // self.batch_size  # the incomplete batch is dropped; the next epoch reshuffles
        order, epoch = None, -1
        for number in itertools.count(self.start):
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                order = torch.randperm(self.split.size, generator=seeded_generator(self.seed, epoch, 0))
            first = (number % per_epoch) * self.batch_size
            yield number, order[first : first + self.batch_size][self.rank :: self.world_size]


def _rows(x: Tensor, index: slice | Tensor) -> Tensor:
    """x[index], where an index that is a tensor takes a fifth of the time for small integers."""
    return x[index] if isinstance(index, slice) else x.index_select(0, index)


def seeded_generator(*key: int) -> torch.Generator:
    """Draws the same on every machine, and differently for every key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(eq=False, repr=False)
class ArenaDataModule(LightningDataModule, ABC):
    """A data set with fixed train/validation/test splits.

    A subclass writes `load`, and `augment` where training batches are changed at random; its options are dataclass fields.
    `seed` orders the training batches and nothing else; `num_val` limits how many validation examples are looked at
    during training. `max_train`, `max_val` and `max_test` make another, smaller data set: the first so many of an order
    that is the same for every seed.
    """

    name: ClassVar[str]
    flip = False  # a field of sets of images: whether training images are mirrored with probability 1/2

    spec: DataSpec
    batch_size: int = 128
    seed: int = 0
    root: str = "data"
    num_val: int | None = None
    max_train: int | None = None
    max_val: int | None = None
    max_test: int | None = None

    def __post_init__(self) -> None:
        super().__init__()
        for option in ("max_train", "max_val", "max_test"):
            limit = getattr(self, option)
            if limit is not None and limit < 1:
                raise DataError(f"data.{option}={limit}: expected at least 1")
        self.train: Split | None = None
        self.val: Split | None = None
        self.test: Split | None = None
        self._cuts: dict[str, int] = {}

    @abstractmethod
    def load(self) -> tuple[Split, Split, Split]:
        """Train, validation and test split; raises DataError with one line when the data is not there or is broken."""

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What happens to a training batch each time it is drawn (flips, binarisation, ...)."""
        return mirrored(x, generator) if self.flip else x

    unseen = "is too large to keep, with its training pictures and their mirror images"  # why `seen` is None

    @property
    def seen(self) -> Tensor | None:
        """Every example that training may have shown (N, *shape), for those who ask what was memorised; None where each
        showing is a draw of its own, or where pictures that are decoded anew each time are mirrored."""
        if self.flip and isinstance(self.train.x, Lazy):
            return None
        return torch.cat([self.train.x, self.train.x.flip(-1)]) if self.flip else self.train.x

    @property
    def shown_beside_samples(self) -> Tensor | Lazy | None:
        """Training examples that the nearest ones to a sample are looked for in; None where that would cost too much."""
        return self.train.x

    def identity(self) -> dict[str, Any]:
        """What, beside the pixels themselves, tells this data set from others: resolution, crop, interpolation, ..."""
        return {}

    @property
    def training_split(self) -> Split:
        """What training batches are drawn from, before `augment`; differs from `train` where augmenting changes levels."""
        return self.train

    def location(self) -> Path | None:
        """The folder whose files the set is read from; None where it is made or comes with a library."""

    def part(self) -> str | None:
        """Which part of the published set is there, e.g. `7974of202599`; None: all of it."""

    @property
    def facts(self) -> dict[str, Any]:
        """The record of the data set in a row; `id` is `<name>[-<part>][-<cuts>]-<hash of all the rest>`."""
        facts = {"name": self.name, "shape": list(self.spec.shape), "num_levels": self.spec.num_levels,
                 "splits": {name: getattr(self, name).size for name in ("train", "val", "test")},
                 "checksum": self._checksum, **self.identity()}  # fmt: skip
        facts |= {"cut": self._cuts} if self._cuts else {}
        facts |= {"part": self.part()} if self.part() else {}
        digest = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
        cuts = [f"{name}{limit}" for name, limit in self._cuts.items()]
        return {"id": "-".join([self.name, *filter(None, [self.part()]), *cuts, digest[:8]]), **facts}

    def setup(self, stage: str | None = None) -> None:
        if self.train is not None:
            return
        self.train, self.val, self.test = (
            self.cut(name, split) for name, split in zip(("train", "val", "test"), self.load(), strict=True)
        )
        for split in (self.train, self.val, self.test):
            if split.size < 1:
                raise DataError(f"{self.name}: one of its splits is empty")
            if tuple(split.x.shape[1:]) != self.spec.shape:
                raise DataError(
                    f"{self.name}: examples have shape {tuple(split.x.shape[1:])}, expected {self.spec.shape}"
                )
        self._checksum = self._hash()

    def cut(self, name: str, split: Any) -> Any:
        """The first `max_<name>` rows of the split (or of anything else with rows) in an order that no seed changes."""
        limit, size = getattr(self, f"max_{name}"), split.size
        if limit is None or limit >= size:
            return split
        self._cuts[name] = limit
        return split[torch.randperm(size, generator=seeded_generator(1, size))[:limit]]

    def digest(self, name: str) -> str:
        """sha256 of the examples of a split (`train`, `val` or `test`), without their labels."""
        x, hasher = getattr(self, name).x, hashlib.sha256()
        if isinstance(x, Lazy):
            return x.digest()
        for first in range(0, len(x), HASHED_AT_ONCE):
            hasher.update(x[first : first + HASHED_AT_ONCE].contiguous().numpy())
        return hasher.hexdigest()

    def _hash(self) -> str:
        """sha256 of the digests of all examples, and of all labels."""
        hasher = hashlib.sha256()
        for name in ("train", "val", "test"):
            y = getattr(self, name).y
            hasher.update(self.digest(name).encode() + (b"" if y is None else y.contiguous().numpy().tobytes()))
        return hasher.hexdigest()

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        return Batches(self, self.training_split, self.batch_size, self.seed, shuffle=True,
                       start=trainer.lightning_module.batches_seen,
                       rank=trainer.global_rank, world_size=trainer.world_size)  # fmt: skip

    def val_dataloader(self) -> Batches:
        shared = not self.trainer.lightning_module.lockstep
        return Batches(self, self.val[: self.num_val], 256, rank=self.trainer.global_rank if shared else 0,
                       world_size=self.trainer.world_size if shared else 1)  # fmt: skip


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with probability 1/2."""
    chosen = (torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5).flatten().numpy()
    x = x.clone()
    images = x.numpy()  # numpy reverses rows of bytes three times as fast
    images[chosen] = images[chosen][..., ::-1]
    return x


def seeded_split(whole: Any, val: int, test: int) -> tuple[Any, Any, Any]:
    """Train, validation and test part of a Split, or of anything else with rows, that comes without an official split.

    The same for every run seed.
    """
    order = torch.randperm(whole.size, generator=seeded_generator(0, whole.size))
    parts = order[val + test :], order[:val], order[val : val + test]
    return tuple(whole[part] for part in parts)


def tenths(whole: Any) -> tuple[Any, Any, Any]:
    """`seeded_split` with a tenth, and at least one example, each for validation and test."""
    tenth = max(1, whole.size // 10)
    return seeded_split(whole, val=tenth, test=tenth)
