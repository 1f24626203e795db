"""Reads regular files of bounded size. Imports no torch."""

import os
import stat
from pathlib import Path


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file; links are followed.

    Raises ValueError if it is not a regular file (a device or a pipe may never end) or is larger than `max_bytes`. Raises
    OSError if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe would otherwise wait
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > max_bytes:
            raise ValueError(f"{status.st_size:,} bytes, at most {max_bytes:,} are read")
        content = block = os.read(descriptor, status.st_size)
        while block and len(content) < status.st_size:
            content += (block := os.read(descriptor, status.st_size - len(content)))
        return content
    finally:
        os.close(descriptor)
