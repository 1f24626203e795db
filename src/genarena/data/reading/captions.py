"""Captions of the pictures of a folder: a text file beside each picture, or a table for many.

- `cat.txt` beside `cat.png`: a caption per line, empty lines do not count.
- `metadata.jsonl` or `metadata.csv` (Hugging Face's `imagefolder`), or `captions.csv`: a line per caption or per picture. Its
  pictures are below the folder of the table. Columns: `file_name` (or `image`, `file`), and `text` (or `caption`); in JSON also
  `captions`, a list.

A picture may have several captions. Of both kinds, the text file counts. What has no words, such as "..." or a single
emoji, is no caption.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genarena.data.captions.vocabulary import split_words
from genarena.data.reading.text_file import text_of
from genarena.errors import DataError

TABLES = ("metadata.jsonl", "metadata.csv", "captions.csv")
FILES, TEXTS = ("file_name", "image", "file"), ("captions", "text", "caption")  # columns, the first that is there
MAX_TEXT, MAX_TABLE = 2**16, 2**30  # bytes


def captions_of(root: Path, names: list[str]) -> list[list[str]]:
    """The captions of each picture, at least one; paths are relative to `root`. Raises DataError, in one line, for a picture
    without one, and for a table or text that cannot be read."""
    known: dict[str, list[str]] = {}
    for folder in sorted({parent for name in names for parent in Path(name).parents}):
        for table in TABLES:
            if (root / folder / table).is_file():
                _add(known, root, folder, table)
    found = [_beside(root, name) or known.get(name, []) for name in names]
    for name, captions in zip(names, found, strict=True):
        if not captions:
            text = Path(name).with_suffix(".txt").name
            raise DataError(f"{root / name} has no caption: expected {text} beside it, or a line in {TABLES[0]}")
    return found


def _beside(root: Path, name: str) -> list[str]:
    path = (root / name).with_suffix(".txt")
    if not path.is_file():
        return []
    return [line.strip() for line in text_of(path, MAX_TEXT).splitlines() if split_words(line)]


def _add(known: dict[str, list[str]], root: Path, folder: Path, table: str) -> None:
    path = root / folder / table
    text = text_of(path, MAX_TABLE)
    for number, row in _json_rows(path, text) if path.suffix == ".jsonl" else _csv_rows(path, text):
        file, texts = (next((row[key] for key in keys if row.get(key)), None) for keys in (FILES, TEXTS))
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(file, str) or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{path}, line {number}: expected {FILES[0]} and {TEXTS[1]}")
        known.setdefault((folder / file).as_posix(), []).extend(text.strip() for text in texts if split_words(text))


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):  # a text may hold other ends of lines
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: is not JSON: {getattr(error, 'msg', error)}") from error
        yield number, row if isinstance(row, dict) else {}


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))  # a quoted text may go over several lines
    try:
        columns = reader.fieldnames or ()
        if not all(any(key in columns for key in keys) for keys in (FILES, TEXTS)):
            held = ", ".join(columns) or "no line"
            raise DataError(
                f"{path}: expected the columns {FILES[0]} and {TEXTS[1]} with a comma between, it has {held}"
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is not CSV: {error}") from error
