"""Seals: beside `last.ckpt` lies `last.ckpt.sha256`, which holds its sha256 in the format of `sha256sum`. No torch here.

A file is put in its place in three steps: the seal names the coming file beside the present one, the coming file takes the
place, the seal names it alone. A kill at any moment leaves a file that its seal knows.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.errors import Untrusted
from genarena.files import foreign
from genarena.files.atomic import replace_atomically

SIZE = 10_000  # bytes of a seal


def seal(path: Path) -> Path:
    """Where the sha256 of a file lies."""
    return path.with_name(f"{path.name}.sha256")


def digests(path: Path) -> list[str]:
    """The sums that the seal of a file names: one, or two while the file is being replaced; [] without a seal."""
    try:
        text = foreign.read(seal(path), SIZE).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def digest(path: Path) -> str:
    """The sha256 of a file, in 64 hexadecimal digits."""
    with foreign.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replaced(path: Path, sha256: str) -> Iterator[None]:
    """Inside, a file with this sum takes the place of `path`."""
    _write(path, [sha256, *digests(path)])
    yield
    _write(path, [sha256])


def check(sha256: str, path: Path) -> None:
    """Raise Untrusted unless the seal of `path` names the sum that its content has."""
    if sha256 not in digests(path):
        raise Untrusted(
            f"{path} is damaged, or not sealed by genarena (its sha256 is not the one in {seal(path).name})"
        )


def _write(path: Path, sums: list[str]) -> None:
    text = "".join(f"{sha256}  {path.name}\n" for sha256 in sums)
    replace_atomically(seal(path), lambda temporary: temporary.write_text(text))
