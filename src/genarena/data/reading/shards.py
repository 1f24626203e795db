"""Pictures in tar files ("shards"), read one by one through an index (`shard_index`) without unpacking.

Shards at an address (http://, s3://, gs://, ...) are downloaded completely, once, into the cache, and checked against the
index before they are used.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from genarena.data.reading.pictures import Sources
from genarena.data.reading.shard_index import INDEX, Shard, read_index, sha256
from genarena.errors import ArenaError, DataError
from genarena.files.atomic import replace_atomically
from genarena.files.boundary import first_line
from genarena.files.cache import cache_folder, writable_cache
from genarena.files.regular import read_regular

CHUNK = 1 << 20
MAX_INDEX = 1 << 31  # bytes


class Store:
    """The place of shards: a folder, or an address from which they are downloaded into the cache.

    cache_gb: most disk space for downloaded shards, in GB; the least recently used are removed first.
    """

    def __init__(self, place: str, cache_gb: float) -> None:
        self.place, self.limit = place.rstrip("/"), int(1e9 * cache_gb)
        self.is_remote = "://" in place
        mark = hashlib.sha256(self.place.encode()).hexdigest()[:16]
        self.folder = cache_folder() / "shards" / mark if self.is_remote else Path(place)

    def index(self) -> list[Shard]:
        """The shards of the index. Raises DataError if there is no index, or a local shard is missing or of another size."""
        where = f"{self.place}/{INDEX}"
        try:
            content = self._fetch(INDEX).read() if self.is_remote else read_regular(Path(where), MAX_INDEX)
        except FileNotFoundError as error:
            raise DataError(
                f"{where} is not there; python scripts/make_shards.py shards=<folder> makes it for shards that "
                "lie in a folder, pictures=<folder> makes shards"
            ) from error
        except (OSError, ValueError) as error:
            raise DataError(f"{where} cannot be read: {first_line(error)}") from error
        shards = read_index(content, where)
        for shard in shards if not self.is_remote else ():
            path = self.folder / shard.name
            if not path.is_file() or path.stat().st_size != shard.size:
                raise DataError(f"{path} is not there, or not the file of {shard.size:,} bytes that {INDEX} lists")
        return shards

    def open(self, shard: Shard) -> BinaryIO:
        """The open shard, downloaded if necessary. Raises DataError if that fails, or if its hash is not the index's."""
        path = self.folder / shard.name
        if not self.is_remote:
            return path.open("rb")
        with self._alone():
            if not path.is_file():
                self._make_room(shard.size)
                replace_atomically(path, lambda temporary: self._download(shard, temporary))
            os.utime(path)  # when it was last used
            return path.open("rb")  # an open file outlives its removal

    def _download(self, shard: Shard, path: Path) -> None:
        try:
            with self._fetch(shard.name) as source, open(path, "wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
        except ArenaError:
            raise
        except Exception as error:  # file systems raise any kind
            raise DataError(f"{self.place}/{shard.name} cannot be fetched: {type(error).__name__}: {error}") from error
        if path.stat().st_size != shard.size or sha256(path) != shard.sha256:
            raise DataError(f"{self.place}/{shard.name} is not the file that {INDEX} lists (its sha256 differs)")

    def _fetch(self, name: str) -> BinaryIO:
        """Open a file at the address. Raises DataError if the address needs a package that is not installed."""
        import fsspec  # with the packages that it needs for an address, which are not all installed

        try:
            return fsspec.open(f"{self.place}/{name}", "rb").open()
        except (ImportError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"data.path={self.place}: {reason} (s3:// needs pip install -e '.[streaming]')") from error

    def _make_room(self, size: int) -> None:
        kept = sorted(self.folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        used = sum(path.stat().st_size for path in kept)
        while kept and used + size > self.limit:
            used -= kept[0].stat().st_size
            kept.pop(0).unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A lock: one process downloads; others wait, then find the file."""
        writable_cache("shards", self.folder.name)
        with open(self.folder / ".lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class ShardSources(Sources):
    """Pictures in shards; names are `<shard>/<name in it>`. places: (number of the shard, offset, size) of each picture."""

    store: Store
    shards: list[Shard]
    places: list[tuple[int, int, int]]

    def take(self, indices: Any) -> "ShardSources":
        chosen = list(indices)
        names, places = ([items[index] for index in chosen] for items in (self.names, self.places))
        return ShardSources(self.folder, names, self.store, self.shards, places)

    def read(self, index: int) -> bytes:
        number, offset, size = self.places[index]
        with self.store.open(self.shards[number]) as file:
            file.seek(offset)
            return file.read(size)

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        for name, (number, offset, size) in zip(self.names, self.places, strict=True):
            yield f"{self.shards[number].sha256}/{name}", size, offset


def sources(store: Store, shards: list[Shard]) -> ShardSources:
    """All pictures of the shards, in order."""
    names, places = [], []
    for number, shard in enumerate(shards):
        names += [f"{shard.name}/{member.name}" for member in shard.members]
        places += [(number, member.offset, member.size) for member in shard.members]
    return ShardSources(Path(store.place), names, store, shards, places)
