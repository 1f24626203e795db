"""A table of text with holes: .csv or .tsv, a row per line, the first line may hold names; empty cells, NaN and NA are holes.

The cells that are numbers are written back as they were read.
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genarena.errors import DataError
from genarena.files.boundary import reading

HOLES = ("", "nan", "na")


@dataclass(frozen=True)
class HoledTable:
    """names: the cells of the first line, if it holds names. cells: of all rows. lines: the number of each row's line in the
    file. rows: (N, D) float64, NaN in holes."""

    names: list[str] | None
    cells: list[list[str]]
    lines: list[int]
    rows: np.ndarray
    separator: str

    def completed(self, filled: np.ndarray) -> str:
        """The table as text, with holes filled from (N, D)."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.separator, lineterminator="\n")
        if self.names is not None:
            writer.writerow(self.names)
        for cells, known, row in zip(self.cells, self.rows, filled, strict=True):
            writer.writerow(
                cell if np.isfinite(old) else f"{new:.7g}" for cell, old, new in zip(cells, known, row, strict=True)
            )
        return out.getvalue()


def read_holes(path: Path, num_columns: int, columns_of: str) -> HoledTable:
    """Raises DataError, in one line, for a file that is no table, has another number of columns (columns_of: whose they
    are), text where numbers are expected, or a row without a number."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"table={path}: expected a file that ends in .csv or .tsv")
    if not path.is_file():
        raise DataError(f"table={path}: there is no such file")
    with reading(path, "a table"):
        text = path.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = next((mark for mark in "\t;" if mark in first), ",")
        found = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = [(found.line_num, cells) for cells in found if cells]
        if not rows:
            raise ValueError("it is empty")
        names = None
        if not any(_is_number(cell) for cell in rows[0][1]) and any(not _is_hole(cell) for cell in rows[0][1]):
            names, rows = rows[0][1], rows[1:]
        if not rows:
            raise ValueError("it has a line of names and no rows")
        lines, cells = [line for line, _ in rows], [each for _, each in rows]
        values = np.array([_values(line, each, num_columns, columns_of) for line, each in rows])
    return HoledTable(names, cells, lines, values, separator)


def _values(line: int, cells: list[str], num_columns: int, columns_of: str) -> list[float]:
    if len(cells) != num_columns:
        hint = " (columns are separated by commas, semicolons or tabs)" if len(cells) == 1 else ""
        num = f"{len(cells)} column{'s' * (len(cells) != 1)}"
        raise ValueError(f"line {line} has {num}, and {columns_of} has {num_columns}{hint}")
    for column, cell in enumerate(cells, 1):
        if not _is_hole(cell) and not _is_number(cell):
            raise ValueError(f"line {line}, column {column} holds {cell[:40]!r}, expected a number or nothing")
    if all(map(_is_hole, cells)):
        raise ValueError(f"line {line} has no number: all entries of the row are missing")
    return [math.nan if _is_hole(cell) else float(cell) for cell in cells]


def _is_hole(cell: str) -> bool:
    return cell.strip().lower() in HOLES


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and math.isfinite(float(cell))
    except ValueError:
        return False
