"""The boundary to parsers of other people: whatever one raises about a file is one line. No torch here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genarena.errors import ArenaError, DataError


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn every exception within into DataError: `<path> cannot be read as <kind>: <first line of the reason>`."""
    try:
        yield
    except ArenaError:
        raise
    except Exception as error:  # parsers promise no kind of exception for a damaged file
        raise DataError(f"{path} cannot be read as {kind}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an exception says, in one line; its name where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0] or type(error).__name__
