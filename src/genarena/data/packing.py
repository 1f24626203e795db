"""Packs a folder of pictures, unchanged, into shards, and writes the index that `streaming` reads."""

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

BLOCK = tarfile.BLOCKSIZE  # in a tar file: one block of header, then whole blocks of content
SHAPE = (3, 8, 8)  # pictures are decoded to this shape, to check that they can be


@dataclass
class Packed:
    """Numbers of pictures and shards written, and of pictures left out."""

    pictures: int = 0
    shards: int = 0
    skipped: int = 0


def pack(pictures: Path, out: Path, shard_mb: float, on_error: str) -> Packed:
    """Write `<part>-<number>.tar` files, of about `shard_mb` megabytes at most, and the index to `out`.

    Splits, their shuffled order and labels are those of `data=image_folder`, so a shard is a random part of its split.
    on_error: `raise` at a picture that cannot be read, or `skip` up to one in a hundred of them. Raises DataError for such a
    picture, and if `out` has shards already.
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
    """Indices of consecutive pictures that together fill a shard of `limit` bytes."""
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
    """(name, content) of the picture's file and, with labels, of its label's file; empty if the picture is left out."""
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
