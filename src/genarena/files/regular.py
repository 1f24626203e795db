"""Reading files that others left: regular ones only, of bounded size. No torch here."""

import os
import stat
from pathlib import Path


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file, or of the file that a link leads to.

    Raises ValueError for what is no file (a device or a pipe may never end) and for a file larger than `max_bytes`; OSError
    where there is nothing to open.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe to which nobody writes would wait
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
