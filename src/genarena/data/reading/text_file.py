"""Reads files of text."""

from pathlib import Path

from genarena.errors import DataError
from genarena.files.regular import read_regular


def text_of(path: Path, max_bytes: int) -> str:
    """The text of a UTF-8 file. Raises DataError, with its name, if it is none, larger, or cannot be read."""
    try:
        return read_regular(path, max_bytes).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error
