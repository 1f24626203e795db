"""stdout and stderr that ignore a closed pipe: `train.py ... 2>&1 | head -1` continues to train. Imports no torch."""

import io
import os
import sys


class _Pipe(io.FileIO):
    """A file descriptor for writing. After the first error, all output is discarded.

    A closed pipe raises no error. Other errors, such as a full disk, are raised once, and not again at the end of the process,
    where Python would print a traceback.
    """

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            # The descriptor itself is replaced, so that child processes and C libraries discard their output too.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return len(data)


def unbreakable() -> None:
    """Make stdout and stderr ignore a closed pipe, and escape characters that their encoding does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__") or isinstance(_raw(stream), _Pipe):
            continue  # closed, replaced by a test or a notebook, or already done
        stream.flush()
        pipe = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
        lines = name == "stderr" or stream.isatty()
        made = io.TextIOWrapper(pipe, stream.encoding, "backslashreplace", line_buffering=lines)
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def _raw(stream: io.TextIOBase) -> object:
    return getattr(getattr(stream, "buffer", None), "raw", None)
