"""A folder of pictures to shards, each picture as it is, and the index that `streaming` reads."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from genarena.data.image_folder import ImageFolder
from genarena.data.picture_set import MAX_SKIPPED, Listing
from genarena.data.reading.decoding import Recipe, decode
from genarena.data.reading.shard_index import write_index
from genarena.errors import DataError
from genarena.files.atomic import replace_atomically
from genarena.files.progress import Bars
from genarena.spec import DataSpec

BLOCK = tarfile.BLOCKSIZE  # a file in an archive is a block of header and whole blocks of content
SHAPE = (3, 8, 8)  # what pictures are decoded to, to see whether they can be


@dataclass
class Packed:
    """How many pictures went into how many shards, and what was left out."""

    pictures: int = 0
    shards: int = 0
    skipped: int = 0


def pack(pictures: Path, out: Path, shard_mb: float, on_error: str) -> Packed:
    """Write `<part>-<number>.tar` of at most about `shard_mb` and the index to `out`.

    Splits, their shuffled order and labels are those of `data=image_folder`, so a shard is a random part of its split.
    on_error: `raise` at a picture that cannot be read, or `skip` up to one in a hundred. Raises DataError.
    """
    if list(out.glob("*.tar")):
        raise DataError(f"out={out}: there are shards in it; remove them, or name another folder")
    folder = ImageFolder(DataSpec(SHAPE, 256), root=str(pictures), image_size=SHAPE[1])
    listings = dict(zip(("train", "val", "test"), folder.listings(), strict=True))
    done, allowed = Packed(), int(MAX_SKIPPED * sum(listing.size for listing in listings.values()))
    with Bars() as bars:
        for part, listing in listings.items():
            groups = list(_groups(listing, 1e6 * shard_mb))
            for number, group in enumerate(bars.track(groups, f"shards of {part}")):
                entries = (item for index in group if (item := _checked(listing, index, done, on_error, allowed)))
                replace_atomically(out / f"{part}-{number:06d}.tar", _writer(entries))
                done.shards += 1
    write_index(out)
    return done


def _groups(listing: Listing, limit: float) -> Iterator[list[int]]:
    """Consecutive pictures that fill a shard."""
    group, filled = [], 0
    label = 0 if listing.y is None else 2 * BLOCK
    for index, (_, size, _) in enumerate(listing.sources.stamps()):
        needed = BLOCK + -(-size // BLOCK) * BLOCK + label
        if group and filled + needed > limit:
            yield group
            group, filled = [], 0
        group.append(index)
        filled += needed
    yield group


def _checked(listing: Listing, index: int, done: Packed, on_error: str, allowed: int) -> list[tuple[str, bytes]]:
    """The files of one picture: itself, and its label where there are labels; nothing when it is left out."""
    content, name = b"", f"{done.pictures + done.skipped:08d}"
    try:
        content = listing.sources.read(index)
        decode(content, Recipe(SHAPE))
    except (OSError, ValueError) as error:
        done.skipped += 1
        if on_error != "skip" or done.skipped > allowed:
            limit = "on_error=skip leaves out up to" if on_error != "skip" else "at most this is left out:"
            raise DataError(
                f"{listing.sources.title(index)} cannot be read as a picture: {error} ({limit} "
                f"{MAX_SKIPPED:.0%} of a set)"
            ) from error
        return []
    done.pictures += 1
    files = [(f"{name}{Path(listing.sources.names[index]).suffix.lower()}", content)]
    return files if listing.y is None else [*files, (f"{name}.cls", str(int(listing.y[index])).encode())]


def _writer(entries: Iterator[list[tuple[str, bytes]]]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for files in entries:
                for name, content in files:
                    entry = tarfile.TarInfo(name)  # no time and no owner: the same pictures make the same bytes
                    entry.size = len(content)
                    archive.addfile(entry, BytesIO(content))

    return write
