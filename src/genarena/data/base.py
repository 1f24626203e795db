"""The DataModule that every data set extends: its splits, its loaders, its identity."""

import copy
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from genarena.data.batches import Batches, Split, mirrored, mutated, seeded_generator
from genarena.data.captions.vocabulary import Vocabulary
from genarena.data.checks import refuse_broken, refuse_condition
from genarena.data.reading.lazy import Lazy
from genarena.data.splitting import rows_with
from genarena.errors import DataError
from genarena.options.values import Count, Folder, Seed, Share, Whole
from genarena.spec import DataSpec

HASHED_AT_ONCE = 4096


@dataclass(eq=False, repr=False)
class ArenaDataModule(LightningDataModule, ABC):
    """A data set with fixed train/validation/test splits.

    A subclass writes
    - `name`: the name of its file and of its YAML.
    - `load`: three `Split`s. `x` (N, *shape) has the type `spec.dtype`: levels below `spec.num_levels`, or floats; `y` (N,) is
      int64 labels, or None; `captions` has tokens of `vocabulary`, or is None; sound has `mels`. No example may be in two
      splits; `seeded_split` and `tenths` of `splitting.py` make splits for a set without official ones.
    - `augment`, if training batches are changed at random.
    - Its options, as annotated class attributes with a default (`width: Count = 1`). The class becomes a dataclass without a
      decorator. Equal options must give equal examples.

    `seed` only decides the order of the training batches and their augmentation.
    `num_val` limits the number of validation examples used during training. `max_train`, `max_val` and `max_test` make a
    smaller data set with an id of its own: the first examples of an order that is the same for every seed. So do `only`, which
    keeps the examples of one label, and `label_fraction`, which keeps a share of the training examples of each label (those
    that `task=augment` calls labelled). Both come first.
    `mutate` is the share of the values of training batches that become a random level (a background model is trained so).
    `condition` says what models are conditional on, and is no part of the data id; `spec.condition` holds it with its size.
    `text` says how models read captions (`Condition.encoder`).
    """

    name: ClassVar[str]
    flip = False  # an option of image sets: mirror training images with probability 1/2
    origin = None  # the set whose examples these are, for a set made of another one: its domain classifiers are used
    background = "white"  # an option of picture sets: the colour behind transparent pixels

    spec: DataSpec
    batch_size: Count = 128
    seed: Seed = 0
    root: Folder = "data"
    num_val: Count | None = None
    max_train: Count | None = None
    max_val: Count | None = None
    max_test: Count | None = None
    only: Whole | None = None
    label_fraction: Share | None = None
    condition: Literal["label", "attributes", "caption", "characters", "mel"] | None = None
    text: Literal["words", "pooled", "minilm"] = "words"
    mutate: Share = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(eq=False, repr=False)(cls)

    def __post_init__(self) -> None:
        super().__init__()
        for option in ("max_train", "max_val", "max_test"):
            limit = getattr(self, option)
            if limit is not None and limit < 1:
                raise DataError(f"data.{option}={limit}: expected at least 1")
        if self.mutate and not self.spec.is_discrete:
            raise DataError(f"data.mutate={self.mutate}: {self.name} has no levels")
        refuse_condition(self.name, self.spec, self.condition, self.text)
        self.train: Split | None = None
        self.val: Split | None = None
        self.test: Split | None = None
        self._cuts: dict[str, int] = {}

    @abstractmethod
    def load(self) -> tuple[Split, Split, Split]:
        """Train, validation and test split. Raises DataError, in one line, if the data is missing or damaged."""

    def load_test(self) -> Split:
        """The test split of `load`; a set with a file of its own for it reads no other."""
        return self.load()[2]

    def count_classes(self) -> int | None:
        """Number of labels; None if there are none. A set whose YAML does not know it looks, without reading the examples."""
        return self.spec.num_classes

    def vocabulary(self) -> Vocabulary | None:
        """The words of the captions; None if there are none. A set whose words are in its files reads no picture for it."""
        return None

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change a training batch (N, *shape) at random, each time it is drawn (flips, binarisation, ...)."""
        return mirrored(x, generator) if self.flip else x

    def altered(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A training batch as it is shown: after `augment`, and mutated."""
        x = self.augment(x, generator)
        return mutated(x, self.mutate, self.spec.num_levels, generator) if self.mutate else x

    unseen = "is too large to keep, with its training pictures and their mirror images"  # why `seen` is None

    @property
    def seen(self) -> Tensor | None:
        """Every example that training may have shown (N, *shape), for metrics of memorisation.

        None if every batch is drawn anew, or if mirrored pictures are decoded each time.
        """
        if self.flip and isinstance(self.train.x, Lazy):
            return None
        return torch.cat([self.train.x, self.train.x.flip(-1)]) if self.flip else self.train.x

    @property
    def shown_beside_samples(self) -> Tensor | Lazy | None:
        """Training examples to search for the nearest neighbours of samples; None if that would cost too much."""
        return self.train.x

    def identity(self) -> dict[str, Any]:
        """Facts that are part of the data id, besides the examples: crop, interpolation, ...; JSON-able."""
        return {}

    def log_density(self, x: Tensor) -> Tensor | None:
        """log p(x) of rows (N, *shape), (N,) float64 nats, for data drawn from a density p that is known; else None."""
        return None

    @property
    def training_split(self) -> Split:
        """The split from which training batches are drawn, before `augment`. Usually `train`; another one if `augment`
        computes the levels, as binarisation does."""
        return self.train

    @property
    def is_fixed(self) -> bool:
        """Whether training shows the examples of `train` as they are, so that what is computed from them can be kept."""
        kind = type(self)
        redrawn = kind.augment is not ArenaDataModule.augment or self.training_split is not self.train
        changed = redrawn or self.flip or self.mutate
        return not changed and kind.train_dataloader is ArenaDataModule.train_dataloader

    def with_training(self, x: Tensor) -> "ArenaDataModule":
        """This set with `x`, one row per example, in place of its training examples; labels and other splits are shared."""
        other = copy.copy(self)
        other.train = self.train._replace(x=x)
        return other

    def location(self) -> Path | None:
        """The folder from which the set is read; None if the set is generated or comes with a library."""

    def part(self) -> str | None:
        """Which part of the published set is present, e.g. `7974of202599`; None: all of it."""

    @property
    def facts(self) -> dict[str, Any]:
        """The record of the data set in a row; `id` is `<name>[-<part>][-<cuts>]-<hash of all other facts>`."""
        facts = {
            "name": self.name,
            "shape": list(self.spec.shape),
            "num_levels": self.spec.num_levels,
            "splits": {name: getattr(self, name).size for name in ("train", "val", "test")},
            "checksum": self._checksum,
            **self.identity(),
        }
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
        for name in ("train", "val", "test"):
            refuse_broken(self.name, self.spec, name, getattr(self, name))
        self._checksum = self._hash()

    def cut(self, name: str, split: Any) -> Any:
        """The first `max_<name>` rows of a Split or Listing, in a fixed random order that does not depend on the seed. Before,
        only those of the labels asked for: DataError if there are none."""
        split = self._labelled(name, split)
        limit, size = getattr(self, f"max_{name}"), split.size
        if limit is None or limit >= size:
            return split
        self._cuts[name] = limit
        return split[torch.randperm(size, generator=seeded_generator(1, size))[:limit]]

    def _labelled(self, name: str, split: Any) -> Any:
        parts = {"fraction": self.label_fraction if name == "train" else None, "class": self.only}
        for part, value in parts.items():
            if value is not None:
                split, self._cuts[part] = split[rows_with(split.y, part, value, (self.name, name))], value
        return split

    def digest(self, name: str) -> str:
        """sha256 of the examples of a split (`train`, `val` or `test`), without their labels."""
        x, hasher = getattr(self, name).x, hashlib.sha256()
        if isinstance(x, Lazy):
            return x.digest()
        for first in range(0, len(x), HASHED_AT_ONCE):
            hasher.update(x[first : first + HASHED_AT_ONCE].contiguous().numpy())
        return hasher.hexdigest()

    def _hash(self) -> str:
        """sha256 of the digests of all examples, and of all labels and captions."""
        hasher = hashlib.sha256()
        for name in ("train", "val", "test"):
            hasher.update(self.digest(name).encode() + getattr(self, name).said)
        return hasher.hexdigest()

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        return Batches(
            self.training_split,
            self.batch_size,
            self.seed,
            shuffle=True,
            start=trainer.lightning_module.batches_seen,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            augment=self.altered,
            endless=trainer.max_epochs in (None, -1),
            condition=self.spec.condition,
        )

    def val_dataloader(self) -> Batches:
        shared = not self.trainer.lightning_module.lockstep
        return Batches(
            self.val[: self.num_val],
            256,
            rank=self.trainer.global_rank if shared else 0,
            world_size=self.trainer.world_size if shared else 1,
            condition=self.spec.condition,
        )
