"""Tables of text with holes: what is read, written back, and refused."""

from pathlib import Path

import numpy as np
import pytest

from genarena.data.reading.holes import read_holes
from genarena.errors import DataError


def file(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1.50,\nNaN,2\n", "a,b\n"),
        ("1.50,\n,2\n", ""),
        ("a;b\n1.50;\nNA;2\n", "a;b\n"),
        ('"a, b",c\n1.50,\n\n,2\n', '"a, b",c\n'),
    ],
)
def test_numbers_stay_as_they_are_written(tmp_path: Path, text: str, names: str) -> None:
    table = read_holes(file(tmp_path, text), 2, "it")
    assert np.array_equal(table.rows, [[1.5, np.nan], [np.nan, 2.0]], equal_nan=True)
    mark = ";" if ";" in names else ","
    assert table.completed(np.array([[9.0, 3.25], [1 / 3, 9.0]])) == f"{names}1.50{mark}3.25\n0.3333333{mark}2\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2,3\n", "line 2 has 3 columns, and the run has 2"),
        ("a,b\n1,2\n,NaN\n", "line 3 has no number: all entries of the row are missing"),
        ("a,b\n1,two\n", "line 2, column 2 holds 'two', expected a number or nothing"),
        ("a,b\n1,inf\n", "line 2, column 2 holds 'inf'"),
        ("a,b\n", "it has a line of names and no rows"),
        ("", "it is empty"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as raised:
        read_holes(file(tmp_path, text), 2, "the run")
    assert "\n" not in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a file that ends in .csv or .tsv"):
        read_holes(file(tmp_path, "1,2", "t.txt"), 2, "it")
    with pytest.raises(DataError, match="there is no such file"):
        read_holes(tmp_path / "none.csv", 2, "it")
