"""Standard output and error that outlive their reader: `train.py ... 2>&1 | head -1` goes on. No torch here."""

import io
import os
import sys


class _Pipe(io.FileIO):
    """A file descriptor for writing. After its first error, what is written to it is thrown away.

    A reader that has gone away is no error. Others, such as a full disk, are raised once: not again at the end of the
    process, where Python prints a traceback.
    """

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(
                nowhere, self.fileno()
            )  # also for what this process starts, and for libraries that print by themselves
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return len(data)


def unbreakable() -> None:
    """Let a closed pipe at stdout or stderr end nothing, and show a character that the terminal lacks as its code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__") or isinstance(_raw(stream), _Pipe):
            continue  # closed, or taken by a test or a notebook
        stream.flush()
        pipe = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
        lines = name == "stderr" or stream.isatty()
        made = io.TextIOWrapper(pipe, stream.encoding, "backslashreplace", line_buffering=lines)
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def _raw(stream: io.TextIOBase) -> object:
    return getattr(getattr(stream, "buffer", None), "raw", None)
