"""Reading files that others left: regular ones only, of bounded size. No torch here."""

import os
import stat
from pathlib import Path


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file, or of the file that a link leads to.

    Raises ValueError for a device or a pipe, which may never end, and for a file larger than `max_bytes`; OSError where
    there is no file to open.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > max_bytes:
            raise ValueError(f"{status.st_size:,} bytes, at most {max_bytes:,} are read")
        return file.read(status.st_size)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe to which nobody writes would wait
