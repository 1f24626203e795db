"""The cache folder, whose files can always be made again, and lock files. Imports no torch."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.errors import UserError
from genarena.options.values import from_environment

ADVICE = "set GENARENA_CACHE to a folder that can be written"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; wait while another process holds it. The file is removed at the end.

    The lock of a process that dies is released. Raises UserError if `path` is in the cache and the cache cannot be written.
    """
    if path.is_relative_to(cache_folder()):
        writable_cache(*path.parent.relative_to(cache_folder()).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "a")  # noqa: SIM115 (held below)
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # the last holder has removed the file
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def cache_folder() -> Path:
    """The cache: $GENARENA_CACHE, else ~/.cache/genarena. Raises UserError if there is no home folder."""
    try:
        return from_environment("GENARENA_CACHE") or Path.home() / ".cache" / "genarena"
    except RuntimeError as error:
        raise UserError(f"there is no home folder for a cache: {ADVICE}") from error


def writable_cache(*below: str) -> Path:
    """A folder in the cache, created if missing. Raises UserError, which names GENARENA_CACHE, if it cannot be written."""
    folder = cache_folder().joinpath(*below)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "no right to write there"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise UserError(f"{folder} cannot be written ({reason}): {ADVICE}")
    return folder


def advice(path: str | os.PathLike | None) -> str:
    """The advice for a `path` that cannot be written; "" if the path is not related to the cache."""
    if path is None or not isinstance(path, str | os.PathLike):
        return ""
    folder, there = cache_folder(), Path(path)
    return f": {ADVICE}" if folder == there or folder in there.parents or there in folder.parents else ""
