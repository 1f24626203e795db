"""Files of a folder that somebody else made, such as a run folder. No torch here.

Only regular files that lie inside the folder are opened, and only so many bytes of them are read: a link may lead to a
secret, a pipe or a device never ends, and a few bytes of JSON may be nested deeper than Python can follow.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from genarena.errors import DataError, Untrusted, printable

SIZE = 16_000_000  # bytes of a file that is read whole
NUM_ENTRIES = 100_000  # files and folders of one run
DEPTH = 40  # of nested lists and objects
LARGEST = 1e100  # its square is still a number


def check_folder(folder: Path) -> None:
    """Raise Untrusted, with the name, when a link below `folder` leads out of it or something is no file and no folder.

    The folders in `wandb/` are passed over: W&B keeps links of its own there, and nothing here reads them. Raises DataError
    where a folder cannot be read.
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
    """Everything below a folder but the content of `wandb/*/`; links are named and not followed."""
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
    """Raise Untrusted when a file is a link that leads out of the folder it lies in."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
        raise Untrusted(f"{path} is a link that leads out of its folder")


def opened(path: Path, size: int | None = None) -> BinaryIO:
    """A regular file of at most `size` bytes, to be read. Raises Untrusted for others, OSError where it cannot be opened."""
    check_link(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its other end
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and (size is None or facts.st_size <= size):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise Untrusted(f"{path} is {f'larger than {size:,} bytes' if stat.S_ISREG(facts.st_mode) else 'no regular file'}")


def read(path: Path, size: int = SIZE) -> bytes:
    """The content of a regular file of at most `size` bytes. Raises Untrusted for others, and OSError."""
    with opened(path, size) as file:
        content = file.read(size + 1)  # a file may grow, and those of the kernel claim to be empty
    if len(content) > size:
        raise Untrusted(f"{path} is larger than {size:,} bytes")
    return content


def parse_json(content: bytes) -> Any:
    """What JSON says, with control characters in its texts written out.

    Raises ValueError for what is no JSON, NaN, numbers beyond 1e100, and nesting beyond 40 levels.
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
