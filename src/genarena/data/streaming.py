"""Sets of pictures too large to unpack: tar files in a folder or at an address, read during training.

Shards have WebDataset's layout, so shards of other programs work. They are read through an index, because resuming must be
exact: the `webdataset` package cannot resume inside its shuffle buffer, and `litdata` has a format of its own.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import Batches, Split, seeded_generator
from genarena.data.picture_set import AnyPictures, Listing
from genarena.data.reading.folders import say
from genarena.data.reading.lazy import Lazy
from genarena.data.reading.shard_index import Shard, chosen
from genarena.data.reading.shards import Store, sources
from genarena.errors import DataError
from genarena.options.values import BelowRoot, Count

PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


class Streaming(AnyPictures):
    """Training pictures are decoded each time they are shown, validation and test pictures once.

    path: a folder (below `root` or anywhere) or an address (http://, s3://, gs://, ...) with `index.json`
        (scripts/make_shards.py) and shards with `train`, `val` or `test` in their names. If there is no `val` or `test`, it
        is the last tenth of the training shards.
    mixed_shards: number of shards whose training pictures are shuffled together.
    cache_gb: most disk space for downloaded shards, in GB.
    decode: as in other picture sets, but the default is `always`.
    picture: if a key has several pictures (`7.jpg`, `7.seg.png`), the suffix of those to use (`jpg`).
    Raises DataError for on_error other than `raise`, mixed_shards below 1 and cache_gb below 0.001.
    """

    name = "streaming"
    unseen = "is streamed: its training pictures are not read again to be compared with"

    decode: str = "always"
    path: BelowRoot = ""
    picture: str | None = None
    image_size: Count = 64
    mixed_shards: int = 4
    cache_gb: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_error != "raise":
            raise DataError(
                f"data.on_error={self.on_error}: expected raise; scripts/make_shards.py leaves bad pictures out"
            )
        for option, least in (("mixed_shards", 1), ("cache_gb", 0.001)):
            if getattr(self, option) < least:
                raise DataError(f"data.{option}={getattr(self, option)}: expected at least {least}")

    def location(self) -> Path | None:
        return None if "://" in self.path else Path(self._place())

    def _place(self) -> str:
        below = Path(self.root) / self.path
        return str(below) if "://" not in self.path and below.is_dir() else self.path

    def vocabulary(self) -> None:
        """Raises DataError: of what stands beside a picture in a shard, only the label is read."""
        raise DataError(
            "data.condition=caption: streaming reads no captions from shards; data=caption_folder reads those of a folder"
        )

    def listings(self) -> tuple[Listing, Listing, Listing]:
        store = Store(self._place(), self.cache_gb)
        parts = divided([chosen(shard, self.picture) for shard in store.index()])
        labels = [member.label for shards in parts.values() for shard in shards for member in shard.members]
        labelled = bool(labels) and None not in labels
        if not labelled and any(label is not None for label in labels):
            say(f"{labels.count(None):,} of {len(labels):,} pictures in {store.place} have no label: without, none has")
        self.spec = replace(self.spec, num_classes=max(labels) + 1 if labelled else None)
        return tuple(_listing(store, parts[name], labelled) for name in PARTS)

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        return ShardBatches(
            self.training_split,
            self.batch_size,
            self.seed,
            shuffle=True,
            start=trainer.lightning_module.batches_seen,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            shard=self.shard,
            mixed=self.mixed_shards,
            augment=self.altered,
            endless=trainer.max_epochs in (None, -1),
        )

    @property
    def seen(self) -> Tensor | None:
        return None if isinstance(self.train.x, Lazy) else super().seen

    @property
    def shown_beside_samples(self) -> Tensor | None:
        return None if isinstance(self.train.x, Lazy) else self.train.x

    def _read(self, name: str, listing: Listing, allowed: int) -> Split:
        if name != "train":
            return super()._read(name, listing, allowed)
        self.shard = torch.tensor([number for number, *_ in listing.sources.places])
        pictures = self.pictures(listing.sources)
        if self._keeps(pictures):
            return super()._read(name, listing, allowed)
        hasher = hashlib.sha256(repr(pictures.recipe).encode())
        for stamp in listing.sources.stamps():  # a picture is identified by its shard's sha256
            hasher.update(repr(stamp).encode())
        self._digests[name] = hasher.hexdigest()
        return Split(pictures, listing.y)


class ShardBatches(Batches):
    """Each rank always reads the same shards. Each epoch takes them in a new order, and shuffles `mixed` of them together.

    Batch k is a function of (seed, k) and of the number of ranks.
    shard: (N,) the number of the shard of each example of the split.
    Raises DataError if a rank's shards hold too few pictures for its share of a batch.
    """

    def __init__(self, *args: Any, shard: Tensor, mixed: int, **options: Any) -> None:
        super().__init__(*args, **options)
        shares = assigned(torch.bincount(shard).tolist(), self.world_size)
        sizes = [sum(int((shard == number).sum()) for number in share) for share in shares]
        self.share = self.batch_size // self.world_size
        self.per_epoch = min(sizes) // self.share
        if not self.per_epoch:
            raise DataError(
                f"data.batch_size={self.batch_size}: the shards of some rank hold {min(sizes)} training pictures, "
                f"fewer than its {self.share} of a batch; make smaller shards"
            )
        self.rows = [(shard == number).nonzero()[:, 0] for number in shares[self.rank]]
        self.mixed = mixed

    def _indices(self) -> Iterator[tuple[int, Tensor]]:
        order, epoch = None, -1
        for number in self._numbers():
            if number // self.per_epoch != epoch:
                epoch = number // self.per_epoch
                order = self._order(epoch)
            first = (number % self.per_epoch) * self.share
            yield number, order[first : first + self.share]

    def _order(self, epoch: int) -> Tensor:
        """The rows that this rank takes in an epoch, in order."""
        generator = seeded_generator(self.seed, epoch, -1 - self.rank)
        shards = torch.randperm(len(self.rows), generator=generator).tolist()
        groups = [
            torch.cat([self.rows[number] for number in shards[first : first + self.mixed]])
            for first in range(0, len(shards), self.mixed)
        ]
        return torch.cat([group[torch.randperm(len(group), generator=generator)] for group in groups])


def assigned(sizes: list[int], num_ranks: int) -> list[list[int]]:
    """The shards of each rank: the largest first, each given to the rank with the fewest pictures so far."""
    shares: list[list[int]] = [[] for _ in range(num_ranks)]
    loads = [0] * num_ranks
    for number in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        rank = loads.index(min(loads))
        shares[rank].append(number)
        loads[rank] += sizes[number]
    return shares


def divided(shards: list[Shard]) -> dict[str, list[Shard]]:
    """The shards of each split, by the words in their names. Raises DataError if a split has none."""
    words = {shard.name: set(re.split(r"[\W_\d]+", shard.name.lower())) for shard in shards}
    parts = {name: [shard for shard in shards if words[shard.name] & set(known)] for name, known in PARTS.items()}
    tenth = max(1, len(parts["train"]) // 10)
    for name in ("test", "val"):
        if not parts[name]:
            parts[name], parts["train"] = parts["train"][-tenth:], parts["train"][:-tenth]
    if not all(parts.values()):
        raise DataError(
            f"{len(shards)} shards ({', '.join(shard.name for shard in shards[:3])}, ...): expected names with "
            "train, val and test in them, or at least 3 with train"
        )
    return parts


def _listing(store: Store, shards: list[Shard], labelled: bool) -> Listing:
    labels = [member.label for shard in shards for member in shard.members]
    return Listing(sources(store, shards), torch.tensor(labels) if labelled else None)
