"""Files that are whole or not there, and where the cache is. No torch here."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary path)` and rename the result to `path`; a reader sees the old file or the new one.

    The temporary file lies in the same folder, and file and folder are flushed to disk, so that neither a kill nor a
    power cut leaves half a file under the real name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """What is made once and can be made again: $GENARENA_CACHE, default ~/.cache/genarena."""
    return Path(os.environ.get("GENARENA_CACHE") or Path.home() / ".cache" / "genarena")
