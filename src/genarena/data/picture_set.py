"""Sets of picture files: each picture is decoded once, into an array on disk that is mapped into memory.

If that array would not fit on disk, worker processes decode training pictures each time they are shown, ahead of training.
Batches and data id are the same either way. Validation and test pictures are always decoded once.
"""

import hashlib
import json
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.reading import mapped
from genarena.data.reading.decoding import BACKGROUNDS, Recipe
from genarena.data.reading.folders import say
from genarena.data.reading.pictures import Failure, Pictures, Sources
from genarena.errors import DataError
from genarena.files.atomic import replace_atomically
from genarena.files.cache import alone, writable_cache
from genarena.files.progress import Bars
from genarena.options.values import Positive, Whole

AT_ONCE = 128  # pictures per task of a worker
MAX_SKIPPED = 0.01  # share of a set that `data.on_error=skip` leaves out before it stops


class Listing(NamedTuple):
    """The pictures of one split before they are read, their labels (N,) or (N, K), and their captions (N, K, length)."""

    sources: Sources
    y: Tensor | None = None
    captions: Tensor | None = None

    def __getitem__(self, index: Tensor) -> "Listing":
        beside = (None if part is None else part[index] for part in (self.y, self.captions))
        return Listing(self.sources.take(index.tolist()), *beside)

    @property
    def size(self) -> int:
        return len(self.sources)


class PictureSet(ArenaDataModule):
    """A subclass writes `listings` and, unless it is the default one, `recipe`.

    on_error: at a picture that cannot be read, `raise`, or `skip` it (up to one in a hundred pictures).
    decode: training pictures `once` or `always`; `auto`: once, if they take at most half of the free disk.
    background: the colour behind transparent pixels, `white`, `grey` or `black`; `refuse` treats such pictures as unreadable.
    num_workers, timeout: of the processes that decode (see `Pictures`).
    Raises DataError for another value.
    """

    on_error: Literal["raise", "skip"] = "raise"
    decode: Literal["auto", "once", "always"] = "auto"
    num_workers: Whole | None = None
    timeout: Positive = 60.0
    flip: bool = False
    background: Literal["white", "grey", "black", "refuse"] = "white"

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"on_error": ("raise", "skip"), "decode": ("auto", "once", "always"), "background": BACKGROUNDS}
        for option, allowed in choices.items():
            if getattr(self, option) not in allowed:
                raise DataError(f"data.{option}={getattr(self, option)}: expected {', '.join(allowed)}")
        self.skipped = 0
        self._digests: dict[str, str] = {}

    @abstractmethod
    def listings(self) -> tuple[Listing, Listing, Listing]:
        """Train, validation and test pictures. Raises DataError, in one line, if they are missing."""

    def count_classes(self) -> int | None:
        self.listings()  # finds the labels
        return self.spec.num_classes

    def recipe(self) -> Recipe:
        """How a picture becomes an example: crop and resizing. `pictures` sets the background."""
        return Recipe(self.spec.shape)

    def pictures(self, sources: Sources) -> Pictures:
        """The examples of a split, decoded when they are indexed."""
        recipe = replace(self.recipe(), background=self.background)
        return Pictures(sources, recipe, self.num_workers, self.timeout)

    def identity(self) -> dict[str, Any]:
        return replace(self.recipe(), background=self.background).identity() | (
            {"skipped": self.skipped} if self.skipped else {}
        )

    def digest(self, name: str) -> str:
        return self._digests[name] if name in self._digests else super().digest(name)

    def load(self) -> tuple[Split, Split, Split]:
        listings = {
            name: self.cut(name, listing)
            for name, listing in zip(("train", "val", "test"), self.listings(), strict=True)
        }
        allowed = int(MAX_SKIPPED * sum(listing.size for listing in listings.values()))
        return tuple(self._read(name, listing, allowed) for name, listing in listings.items())

    def _read(self, name: str, listing: Listing, allowed: int) -> Split:
        pictures = self.pictures(listing.sources)
        keep = name != "train" or self._keeps(pictures)
        stored = Stored(writable_cache("pictures", self.name), pictures, keep)
        skipped, self._digests[name] = stored.make(allowed - self.skipped if self.on_error == "skip" else None)
        if skipped:
            self.skipped += len(skipped)
            say(
                f"{len(skipped)} of {listing.size:,} pictures of {name} cannot be read and are left out, the first "
                f"is {listing.sources.title(skipped[0])}"
            )
            listing = listing[torch.tensor(sorted(set(range(listing.size)) - set(skipped)), dtype=torch.long)]
            pictures = self.pictures(listing.sources)
        return Split(stored.array(listing.size) if keep else pictures, listing.y, listing.captions)

    def _keeps(self, pictures: Pictures) -> bool:
        if self.decode != "auto":
            return self.decode == "once"
        return np.prod(pictures.shape, dtype=float) <= shutil.disk_usage(writable_cache()).free / 2


class AnyPictures(PictureSet):
    """Pictures of any size, grey or RGB: the largest centred part with the proportions of `spec.shape`, resized to it.

    flip: training pictures are mirrored with probability 1/2.
    """

    image_size: int = 32
    channels: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels not in (1, 3) or self.spec.shape != (self.channels, self.image_size, self.image_size):
            raise DataError(
                f"data.channels={self.channels}, data.image_size={self.image_size}: expected 1 or 3 channels and "
                f"the shape of data.spec, {self.spec.shape}"
            )


class Stored:
    """The cache of one split below `folder`: decoded pixels in `<key>.u8`, facts (unreadable pictures, hash) in `<key>.json`.

    The key is a hash of the names, sizes and times of all files and of the recipe, so changed files are read again.
    keep: store the pixels and the facts; False: the facts only.
    """

    def __init__(self, folder: Path, pictures: Pictures, keep: bool) -> None:
        self.pictures, self.keep = pictures, keep
        hasher = hashlib.sha256(repr(pictures.recipe).encode())
        for stamp in pictures.sources.stamps():
            hasher.update(repr(stamp).encode())
        self.pixels, self.facts = (folder / f"{hasher.hexdigest()[:32]}.{suffix}" for suffix in ("u8", "json"))

    def make(self, allowed: int | None) -> tuple[list[int], str]:
        """Read every picture, unless the cache has them. Returns the indices of unreadable pictures, and the sha256 of the
        pixels of all others.

        Raises DataError if more than `allowed` pictures cannot be read (None: if any cannot).
        """
        with alone(self.facts.with_suffix(".lock")):
            known = self._known()
            if known is None:
                known = self._decode_all(allowed)
                text = json.dumps(known)
                replace_atomically(self.facts, lambda temporary: temporary.write_text(text))
        for index, reason in known["skipped"]:
            self._look_at(index, reason, len(known["skipped"]), allowed)
        return [index for index, _ in known["skipped"]], known["sha256"]

    def array(self, size: int) -> Tensor:
        """(size, C, H, W) uint8, mapped from the file copy-on-write. Raises DataError if the file is damaged."""
        return mapped.read(
            self.pixels, (size, *self.pictures.recipe.shape), json.loads(self.facts.read_text())["sha256"]
        )

    def _known(self) -> dict[str, Any] | None:
        """The facts that an earlier process stored, if the pixels are still there too; else None."""
        return (
            json.loads(self.facts.read_text()) if self.facts.is_file() and self.pixels.is_file() >= self.keep else None
        )

    def _decode_all(self, allowed: int | None) -> dict[str, Any]:
        skipped: list[Failure] = []
        with Bars() as bars:
            blocks = self._blocks(allowed, skipped, bars)
            digest = mapped.write(self.pixels, blocks, self.pictures.shape) if self.keep else mapped.digest(blocks)
        return {"skipped": skipped, "sha256": digest}

    def _blocks(self, allowed: int | None, skipped: list[Failure], bars: Bars) -> Iterator[np.ndarray]:
        """All pictures that can be read, in order; the others are added to `skipped`."""
        size = len(self.pictures)
        tasks = [slice(first, first + AT_ONCE) for first in range(0, size, AT_ONCE)]
        for images, failures in bars.track(self.pictures.attempts(tasks), "reading pictures, once", len(tasks)):
            for index, reason in failures:
                skipped.append((index, reason))
                self._look_at(index, reason, len(skipped), allowed)
            yield images.numpy()

    def _look_at(self, index: int, reason: str, count: int, allowed: int | None) -> None:
        """Raise DataError for a picture that cannot be read, unless it may be left out."""
        text = f"{self.pictures.sources.title(index)} cannot be read as a picture: {reason}"
        if allowed is None:
            raise DataError(f"{text} (data.on_error=skip leaves out up to {MAX_SKIPPED:.0%} of a set)")
        if count > allowed:
            raise DataError(f"{text}; data.on_error=skip leaves out at most {MAX_SKIPPED:.0%} of a set")
