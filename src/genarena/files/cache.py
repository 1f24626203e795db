"""The folder of what is made once and can be made again, and lock files for it. No torch here."""

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
    """Hold the lock file `path`, waiting for a process that does; it is gone afterwards. A dead process holds nothing.

    Raises UserError for a path in the cache, where that cannot be written.
    """
    if path.is_relative_to(cache_folder()):
        writable_cache(*path.parent.relative_to(cache_folder()).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "a")  # noqa: SIM115 (held below)
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # the one who had it has removed it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def cache_folder() -> Path:
    """What is made once and can be made again: $GENARENA_CACHE, default ~/.cache/genarena. Raises UserError without a home."""
    try:
        return from_environment("GENARENA_CACHE") or Path.home() / ".cache" / "genarena"
    except RuntimeError as error:
        raise UserError(f"there is no home folder for a cache: {ADVICE}") from error


def writable_cache(*below: str) -> Path:
    """A folder in the cache, made where it is not there. Raises UserError, naming GENARENA_CACHE, where it cannot be."""
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
    """What to do about a `path` that cannot be written; "" where it has nothing to do with the cache."""
    if path is None or not isinstance(path, str | os.PathLike):
        return ""
    folder, there = cache_folder(), Path(path)
    return f": {ADVICE}" if folder == there or folder in there.parents or there in folder.parents else ""
