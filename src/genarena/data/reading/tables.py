"""Tables of numbers: .npy, .npz and text with commas, semicolons or tabs between columns. Nothing in a file is executed."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genarena.data.reading.folders import say
from genarena.errors import DataError, counted
from genarena.files.boundary import reading

PARTS = ("train", "val", "test")
TEXT = (".csv", ".tsv")
SUFFIXES = (".npy", ".npz", *TEXT)
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # byte-order mark -> encoding; without one, UTF-8
WHOLE = re.compile(r"\s*\d+\s*")


@dataclass(frozen=True)
class Table:
    """Rows (N, D) float64. place(row, column), both counted from 0, names a value's place in the file, for errors.
    names: of the columns, where the file has them."""

    rows: np.ndarray
    place: Callable[[int, int], str]
    names: tuple[str, ...] | None = None

    def check_finite(self) -> None:
        """Raise ValueError with the place in the file of the first value that is not finite."""
        broken = np.argwhere(~np.isfinite(self.rows))
        if len(broken):
            raise ValueError(f"{len(broken):,} values are not finite, the first in {self.place(*broken[0].tolist())}")


def _elsewhere(path: Path) -> str:
    """Where a file of the name is, if that is the current folder: relative paths begin at data.root."""
    here = Path.cwd() / path.name
    return f"; a relative path begins at data.root, and the file here is data.path={here}" if here.is_file() else ""


def read_tables(path: Path, header: bool | None = None) -> list[Table]:
    """One table, or the three of an .npz file that has arrays `train`, `val` and `test`.

    header: whether the first line of a text file holds names; None: decide by its content. Raises DataError, in one line,
    if the file is no table of finite numbers.
    """
    if not path.is_file():
        raise DataError(f"data.path={path}: there is no such file{_elsewhere(path)}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"data.path={path}: expected a file that ends in .npy, .npz, .csv or .tsv")
    with reading(path, "a table"):
        tables = [read_text(path, header)] if suffix in TEXT else _read_arrays(path, suffix)
        for table in tables:
            table.check_finite()
    return tables


def _read_arrays(path: Path, suffix: str) -> list[Table]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray) != (suffix == ".npy"):
        right = ".npy" if isinstance(loaded, np.ndarray) else ".npz"
        raise ValueError(f"it is an {right} file by its content: rename it")
    if suffix == ".npy":
        return [_of_array(loaded, "")]
    with loaded:
        if set(PARTS) <= set(loaded.files):
            return [_of_array(loaded[part], part) for part in PARTS]
        if set(loaded.files) == {"X", "y"}:
            return [_labelled(loaded["X"], loaded["y"])]
        if len(loaded.files) != 1:
            raise ValueError(
                f"expected one array, train, val and test, or X and y; it has {', '.join(loaded.files) or 'none'}"
            )
        return [_of_array(loaded[loaded.files[0]], loaded.files[0])]


def _labelled(x: np.ndarray, y: np.ndarray) -> Table:
    """Rows X (N, D) and labels y (N,), the last column, as ADBench keeps its tables."""
    rows, labels = _of_array(x, "X").rows, _of_array(y.reshape(len(y), -1), "y").rows
    if len(rows) != len(labels) or labels.shape[1] != 1:
        raise ValueError(f"X has shape {x.shape} and y {y.shape}: expected a label per row")
    names = (*(f"X{column + 1}" for column in range(rows.shape[1])), "y")
    return Table(
        np.column_stack([rows, labels]), lambda row, column: f"row {row}, {names[column]} (counted from 0)", names
    )


def _of_array(array: np.ndarray, name: str) -> Table:
    if array.dtype.names:
        raise ValueError(
            f"its rows are records with the fields {', '.join(array.dtype.names)}; expected one array of numbers "
            "(numpy.lib.recfunctions.structured_to_unstructured makes one)"
        )
    if array.dtype.kind not in "buif":
        raise ValueError(f"it holds {array.dtype}, expected real numbers")
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name or 'its array'} has shape {array.shape}, expected (rows, columns)")
    return Table(array.astype(np.float64), lambda row, column: f"{name}[{row}, {column}] (counted from 0)")


# -- text --------------------------------------------------------------------------------------------------------------


def read_text(path: Path, header: bool | None = None) -> Table:
    """Rows of numbers. Columns are separated by `;` or tabs, if there are any, else by commas. With `;` or tabs the decimal
    mark may be a comma. Raises ValueError that names the line and the column."""
    lines = [(number, line) for number, line in enumerate(_decoded(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError("it is empty")
    body = lines[1:] or lines  # a first line of names may hold anything
    separator = next((mark for mark in ";\t" if mark in body[0][1]), ",")
    decimal = "," if separator != "," and any("," in line for _, line in body) else "."
    if decimal == "," and any("." in line for _, line in body):
        raise ValueError("its numbers have both . and , in them: export it with a point and no thousands separator")
    rows = [(number, _cells(number, line, separator)) for number, line in lines]
    names = None
    if _has_names(path, rows, decimal, header):
        names, rows = tuple(cell.strip() for cell in rows[0][1]), rows[1:]
    if not rows:
        raise ValueError("it has a line of names and no rows")
    numbers = [number for number, _ in rows]
    values = np.array(list(_values(rows, decimal)))
    return Table(values, lambda row, column: f"line {numbers[row]}, column {column + 1}", names)


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = MARKS.get(content[:2], "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is no {encoding.removesuffix('-sig').upper()} text: save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds zero bytes (UTF-16 without its mark, or no text): save it as UTF-8")
    return text


def _cells(number: int, line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"line {number} has a quote that is not closed") from error


def _has_names(path: Path, rows: list[tuple[int, list[str]]], decimal: str, header: bool | None) -> bool:
    """Whether the first line holds names: as `header` says; None: if no cell is a number, or the cells are 0, 1, 2, ..."""
    cells = rows[0][1]
    if header is not None:
        return header
    if not any(_number(cell, decimal) is not None for cell in cells):
        return True
    if [cell.strip() for cell in cells] != [str(index) for index in range(len(cells))]:
        return False
    shown = ",".join(cells[:4]) + (",..." if len(cells) > 4 else "")
    if all(WHOLE.fullmatch(cell) for _, others in rows[1:] for cell in others):
        raise ValueError(f"its first line, {shown}, may be names or numbers: say data.header=true or data.header=false")
    say(f"{path}: its first line, {shown}, is taken for the names of columns (data.header=false: for a row)")
    return True


def _values(rows: list[tuple[int, list[str]]], decimal: str) -> Iterator[list[float]]:
    width = len(rows[0][1])
    for number, cells in rows:
        if len(cells) != width:
            raise ValueError(f"line {number} is not {counted(width, 'number')}: it has {counted(len(cells), 'column')}")
        values = [_number(cell, decimal) for cell in cells]
        if None in values:
            column = values.index(None)
            raise ValueError(_why_not(number, column, cells[column].strip(), width))
        yield values


def _number(cell: str, decimal: str) -> float | None:
    """The value of a cell; None if it is no number. 1_000 is none: only Python reads it as a number."""
    try:
        return None if "_" in cell else float(cell if decimal == "." else cell.replace(",", "."))
    except ValueError:
        return None


def _why_not(number: int, column: int, cell: str, width: int) -> str:
    hint = ""
    if len(cell.split()) > 1:
        hint = " (columns are separated by commas, semicolons or tabs)"
    elif re.fullmatch(r"[+-]?\d+,\d+", cell):
        hint = " (with decimal commas, columns are separated by semicolons or tabs)"
    elif number == 1:
        hint = " (data.header=true takes the line for names)"
    elif not cell:
        hint = " (a value is missing; a model learns complete rows, and scripts/impute.py then fills those with holes)"
    elif any(letter.isalpha() for letter in cell):
        hint = " (write categories and labels as whole numbers)"
    return f"line {number} is not {counted(width, 'number')}: column {column + 1} holds {cell[:40]!r}{hint}"
