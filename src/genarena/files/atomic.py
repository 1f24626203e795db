"""Atomic writing of files. Imports no torch."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from genarena.errors import DiskFull, UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def replace_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary path)` and rename the result to `path`. A reader sees either the old or the new file.

    The temporary file is in the same folder, and file and folder are flushed to disk, so that a kill or a power cut leaves
    no incomplete file at `path`. Raises DiskFull if there is no space.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(path, temporary, temporary.stat().st_size, "at least ") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path, is_folder: bool = False) -> None:
    """Raise UserError if a file (is_folder: files in a folder) cannot be written at `path`. Called before long work."""
    if path.is_dir() and not is_folder:
        raise UserError(f"{path} cannot be written: it is a folder")
    folder = path if is_folder else path.parent
    present = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    try:
        with tempfile.NamedTemporaryFile(prefix=".genarena-", dir=present):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {present}: {error.strerror}") from error


def no_room(path: Path, temporary: Path, size: int, at_least: str = "") -> DiskFull:
    """The error for a `path` of `size` bytes that cannot be written. Removes `temporary` first, which frees its space."""
    temporary.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    return DiskFull(
        f"{path} cannot be written: it needs {at_least}{size / 1e6:,.3f} MB, and the disk (or this user's share "
        f"of it) has {free / 1e6:,.3f} MB"
    )


def flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that renames in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
