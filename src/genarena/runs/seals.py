"""Seals: `last.ckpt.sha256`, next to `last.ckpt`, has the sha256 of the file in the format of `sha256sum`. Imports no torch.

A file is replaced in three steps. First the digest of the new file is added to the seal, then the new file replaces the old
one, then the old digest is removed from the seal. After a kill at any moment the file therefore matches its seal.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.errors import Untrusted
from genarena.files import foreign
from genarena.files.atomic import replace_atomically

SIZE = 10_000  # bytes that a seal may have


def seal(path: Path) -> Path:
    """The path of the seal of a file."""
    return path.with_name(f"{path.name}.sha256")


def digests(path: Path) -> list[str]:
    """The digests in the seal of a file: one, or more while the file is being replaced; [] without a readable seal."""
    try:
        text = foreign.read(seal(path), SIZE).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def digest(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with foreign.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replaced(path: Path, sha256: str) -> Iterator[None]:
    """Keep the seal correct while the block replaces `path` with a file that has this sha256."""
    _write(path, [sha256, *digests(path)])
    yield
    _write(path, [sha256])


def check(sha256: str, path: Path) -> None:
    """Raise Untrusted unless `sha256`, the digest of the content of `path`, is in the seal."""
    if sha256 not in digests(path):
        raise Untrusted(
            f"{path} is damaged, or not sealed by genarena (its sha256 is not the one in {seal(path).name})"
        )


def _write(path: Path, sums: list[str]) -> None:
    text = "".join(f"{sha256}  {path.name}\n" for sha256 in sums)
    replace_atomically(seal(path), lambda temporary: temporary.write_text(text))
