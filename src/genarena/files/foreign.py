"""Safe reading of files in a folder from somebody else, such as a run folder. Imports no torch.

Only regular files inside the folder are opened, and only up to a size limit: a link may lead to a secret, and a pipe or a
device may never end. JSON is read with a depth limit, because a small file may be nested deeper than Python allows.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from genarena.errors import DataError, Untrusted, printable

SIZE = 16_000_000  # bytes that a file may have by default
NUM_ENTRIES = 100_000  # files and folders that a run folder may contain
DEPTH = 40  # levels of nested lists and objects
LARGEST = 1e100  # small enough that its square is finite


def check_folder(folder: Path) -> None:
    """Raise Untrusted if `folder` contains a link out of it, an entry that is neither file nor folder, or too many entries.

    The folders in `wandb/` are skipped: W&B keeps its own links there, and genarena does not read them. Raises DataError if
    a folder cannot be read.
    """
    home = os.path.realpath(folder)
    for count, entry in enumerate(_entries(folder)):
        if count == NUM_ENTRIES:
            raise Untrusted(f"{folder} holds more than {NUM_ENTRIES:,} files")
        if entry.is_symlink():
            if not Path(os.path.realpath(entry.path)).is_relative_to(home):
                raise Untrusted(f"{entry.path} is a link that leads out of its run folder")
        elif not (entry.is_dir() or entry.is_file()):
            raise Untrusted(f"{entry.path} is neither a file nor a folder")


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    """All entries below a folder, except the content of `wandb/*/`. Links are listed but not followed."""
    waiting, of_wandb = [os.fspath(folder)], os.path.join(folder, "wandb")
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False) and path != of_wandb:
                        waiting.append(entry.path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error


def check_link(path: Path) -> None:
    """Raise Untrusted if a file is a link out of its folder."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
        raise Untrusted(f"{path} is a link that leads out of its folder")


def opened(path: Path, size: int | None = None) -> BinaryIO:
    """Open a regular file of at most `size` bytes for reading. Raises Untrusted for other files, OSError if opening fails."""
    check_link(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would otherwise wait
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and (size is None or facts.st_size <= size):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise Untrusted(f"{path} is {f'larger than {size:,} bytes' if stat.S_ISREG(facts.st_mode) else 'no regular file'}")


def read(path: Path, size: int = SIZE) -> bytes:
    """The content of a regular file of at most `size` bytes. Raises Untrusted for other files, OSError if reading fails."""
    with opened(path, size) as file:
        content = file.read(size + 1)  # the file may grow, and files in /proc have size 0
    if len(content) > size:
        raise Untrusted(f"{path} is larger than {size:,} bytes")
    return content


def parse_json(content: bytes) -> Any:
    """Parse JSON. Control characters in its texts are escaped.

    Raises ValueError for invalid JSON, NaN, numbers beyond 1e100, and more than 40 nested levels.
    """
    try:
        return _checked(json.loads(content.decode(), parse_constant=_refuse_constant))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _checked(value: Any, depth: int = 0) -> Any:
    if depth > DEPTH:
        raise ValueError(f"it is nested deeper than {DEPTH} levels")
    if isinstance(value, str):
        return printable(value, keep="")
    if isinstance(value, list):
        return [_checked(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {printable(key, keep=""): _checked(item, depth + 1) for key, item in value.items()}
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise ValueError(f"it holds a number beyond {LARGEST:g}")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")
