"""Converts any exception of a third-party parser to one line of text. Imports no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.errors import ArenaError, DataError


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Raise DataError for any other exception in the block: `<path> cannot be read as <kind>: <first line of the reason>`."""
    try:
        yield
    except ArenaError:
        raise
    except Exception as error:  # for a damaged file, parsers may raise any kind of exception
        raise DataError(f"{path} cannot be read as {kind}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an exception's text; the name of its type if it has no text."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0] or type(error).__name__
