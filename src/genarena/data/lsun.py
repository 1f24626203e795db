"""LSUN (Yu et al. 2015, arXiv 1506.03365): scenes, from the owner's LMDB folders. Needs `pip install '.[lsun]'`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from genarena.data.picture_set import Listing, PictureSet
from genarena.data.published_set import PublishedSet
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import seeded_split
from genarena.errors import DataError, counted
from genarena.options.values import Count

NUM_HELD_OUT = 10_000


@dataclass(frozen=True)
class Records(Sources):
    """Pictures of an LMDB folder; `names` are their keys."""

    def read(self, index: int) -> bytes:
        if parent_process() is None:  # LMDB cannot be reopened in a fork of a process that has it open
            with opened(self.folder) as database, database.begin() as transaction:
                value = transaction.get(self.names[index].encode("latin1"))
        else:
            with kept_open(self.folder).begin() as transaction:
                value = transaction.get(self.names[index].encode("latin1"))
        if value is None:
            raise ValueError("its key is gone")
        return bytes(value)

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        status = (self.folder / "data.mdb").stat()
        yield from ((name, status.st_size, status.st_mtime_ns) for name in self.names)


def opened(folder: Path) -> Any:
    """The database, opened for reading."""
    try:
        import lmdb
    except ImportError as error:
        raise DataError("lsun needs the reader of its database: pip install '.[lsun]'") from error
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, subdir=True, max_readers=1)
    except lmdb.Error as error:
        raise DataError(f"{folder} cannot be opened as an LMDB folder: {error}") from error


kept_open = lru_cache(opened)  # in a worker process


class LSUN(PictureSet, PublishedSet):
    """The training images of one category; 10,000 each (at most a tenth) are drawn for validation and test, fixed seed.

    The 300 official validation images are too few for a test split and are not used. Largest centred square, bicubic.
    category: bedroom, church_outdoor, ...: the folder is `lsun/<category>_train_lmdb`.
    """

    name = "lsun"
    place = "lsun"
    page = "https://github.com/fyu/lsun"
    files = ()

    image_size: Count = 64
    category: str = "bedroom"

    def listings(self) -> tuple[Listing, Listing, Listing]:
        folder = self.location()
        if not (folder / "data.mdb").is_file():
            raise DataError(
                f"{folder} has no data.mdb: unpack {self.category}_train_lmdb.zip of {self.page} there, or point "
                "data.root at a folder that has lsun/"
            )
        with opened(folder) as database, database.begin() as transaction, transaction.cursor() as cursor:
            names = [bytes(key).decode("latin1") for key in cursor.iternext(keys=True, values=False)]
        if len(names) < 10:
            raise DataError(f"{folder}: {counted(len(names), 'image')}, 10 are needed")
        held_out = min(NUM_HELD_OUT, len(names) // 10)
        return seeded_split(Listing(Records(folder, names)), val=held_out, test=held_out)

    def location(self) -> Path:
        return self.folder / f"{self.category}_train_lmdb"

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"category": self.category}

    def part(self) -> str:
        return self.category
