"""Splits, and batches as a function of (seed, batch number)."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.data.reading.lazy import Lazy
from genarena.spec import TEXTS, Batch, Condition

Augment = Callable[[Tensor, torch.Generator], Tensor]  # changes a batch (N, *shape) each time it is drawn


class Split(NamedTuple):
    """`x` (N, *shape) levels or floats; `y` (N,) int64 labels, (N, K) attributes that are 0 or 1, or None.

    `captions` (N, K, length) int64 tokens: K captions of each example, all of them about it, or what is spoken; or None.
    `mels` (N, bands, frames) float32: of sound, the log-mel spectrogram of each example; or None.
    `durations` (N, length) int64: of training examples of speech, frames of each character, known beforehand; or None.
    `x` is a tensor (in memory, or mapped from a file), or `Lazy`: rows are made or decoded when they are indexed.
    """

    x: Tensor | Lazy
    y: Tensor | None = None
    captions: Tensor | None = None
    mels: Tensor | Lazy | None = None
    durations: Tensor | None = None

    def __getitem__(self, index: Any) -> "Split":  # rows, not tuple fields
        beside = (self.y, self.captions, self.mels, self.durations)
        return Split(self.x[index], *(None if part is None else part[index] for part in beside))

    def given(self, condition: Condition | None) -> Tensor | None:
        """What models are conditional on: y, the first caption (N, length), or the mel. Without a condition it is y."""
        kind = condition.kind if condition else None
        if kind == "mel":
            return self.mels[:]
        return self.captions[:, 0] if kind in TEXTS else self.y

    @property
    def said(self) -> bytes:
        """What is said of the examples, for a hash: labels and captions."""
        parts = (part for part in (self.y, self.captions) if part is not None)
        return b"".join(part.contiguous().numpy().tobytes() for part in parts)

    def batch(self, condition: Condition | None) -> Batch:
        """The examples with what models are conditional on."""
        return Batch(self.x, self.given(condition))

    @property
    def size(self) -> int:
        return len(self.x)


class Batches:
    """Iterates over the batches of a split.

    Shuffled: batch k depends on (seed, k) alone. Epoch e is a permutation drawn with (seed, e), and `augment` uses a
    generator seeded with (seed, k, rank). A run that stopped after k batches therefore resumes exactly at `start` = k.
    `batch_size` counts examples over all ranks; each rank takes its share of every batch.
    Not shuffled: each rank takes whole batches in turn, so that a batch does not depend on the number of ranks.

    condition: what y of a batch is. In training, one of an example's captions is drawn each time; else it is the first. Of
    characters whose durations are known, y of a training batch is (N, 2, length): tokens, and frames of each.
    endless: a shuffled iteration continues through all epochs. Otherwise it is one epoch long, and the next iteration
    continues where it ended, as a trainer that counts epochs expects.
    Raises ValueError if a shuffled `batch_size` is no multiple of the number of ranks.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        augment: Augment | None = None,
        endless: bool = True,
        condition: Condition | None = None,
    ) -> None:
        self.split, self.seed, self.shuffle, self.start, self.augment = split, seed, shuffle, start, augment
        self.batch_size = min(batch_size, split.size) if shuffle else batch_size
        self.rank, self.world_size, self.endless, self.condition = rank, world_size, endless, condition
        self.per_epoch = split.size // self.batch_size  # the last, incomplete batch is dropped
        if shuffle and self.batch_size % world_size:
            raise ValueError(f"batch_size={self.batch_size}: must be a multiple of the number of ranks, {world_size}")

    def __len__(self) -> int:
        if self.shuffle and self.endless:
            raise TypeError("this loader goes on for ever")
        return self.per_epoch if self.shuffle else max(1, len(self._own_batches()))

    def _own_batches(self) -> range:
        """First rows of this rank's batches, without shuffling."""
        return range(self.rank * self.batch_size, self.split.size, self.world_size * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        ahead, now = itertools.tee(self._indices())  # pictures are decoded ahead of time
        x = self.split.x
        wanted = (index for _, index in ahead)
        drawn = (_rows(x, index) for index in wanted) if isinstance(x, Tensor) else x.batches(wanted)
        for images, (number, index) in zip(drawn, now, strict=True):
            y = self._given(number, index)
            if self.augment is not None:
                images = self.augment(images, seeded_generator(self.seed, number, 1 + self.rank))
            if not self.endless:
                self.start = number + 1
            yield Batch(images, y)

    def _given(self, number: int, index: Tensor | slice) -> Tensor | None:
        """What the examples of a batch are conditional on: of several captions, one that is drawn in training."""
        kind = self.condition.kind if self.condition else None
        of = self.split.captions if kind in TEXTS else self.split.mels if kind == "mel" else self.split.y
        if of is None or kind not in TEXTS:
            return None if of is None else of[index]
        captions, chosen = of[index], 0
        if self.shuffle:
            generator = seeded_generator(self.seed, number, "captions", self.rank)
            chosen = torch.randint(captions.shape[1], (len(captions),), generator=generator)
        tokens, known = captions[torch.arange(len(captions)), chosen], self.split.durations
        return tokens if known is None or not self.shuffle else torch.stack([tokens, known[index]], 1)

    def _numbers(self) -> Iterable[int]:
        """Numbers of the batches of one shuffled iteration."""
        return itertools.count(self.start) if self.endless else range(self.start, self.start + self.per_epoch)

    def _indices(self) -> Iterator[tuple[int, Tensor | slice]]:
        """Batch number, and the rows of the split that this rank takes in it."""
        if not self.shuffle:
            for number, first in enumerate(self._own_batches() or [self.split.size]):  # else an empty batch
                yield number, slice(first, min(first + self.batch_size, self.split.size))
            return
        order, epoch = None, -1
        for number in self._numbers():
            if number // self.per_epoch != epoch:
                epoch = number // self.per_epoch
                order = torch.randperm(self.split.size, generator=seeded_generator(self.seed, epoch, 0))
            first = (number % self.per_epoch) * self.batch_size
            yield number, order[first : first + self.batch_size][self.rank :: self.world_size]


def _rows(x: Tensor, index: slice | Tensor) -> Tensor:
    """x[index]; for a tensor `index` and small integers, index_select takes a fifth of the time."""
    return x[index] if isinstance(index, slice) else x.index_select(0, index)


def seeded_generator(*key: int | str) -> torch.Generator:
    """A generator whose draws are the same on every machine, and different for every key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with probability 1/2."""
    chosen = (torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5).flatten().numpy()
    x = x.clone()
    images = x.numpy()  # numpy reverses rows of bytes three times as fast
    images[chosen] = images[chosen][..., ::-1]
    return x


def mutated(x: Tensor, share: float, num_levels: int, generator: torch.Generator) -> Tensor:
    """Levels (N, ...) of which each becomes, with probability `share`, a level drawn uniformly (Ren et al. 2019, arXiv
    1906.02845, sec. 3: training data of a background model)."""
    chosen = torch.rand(x.shape, generator=generator) < share
    return torch.where(chosen, torch.randint(num_levels, x.shape, generator=generator).to(x.dtype), x)
