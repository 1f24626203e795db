"""Tables: the protocol of MAF, normalisation by what training may know, files that are refused by name."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.data.tabular import Tabular
from genarena.errors import DataError
from genarena.spec import DataSpec


def table(root: Path, path: str, columns: int) -> Tabular:
    data = Tabular(DataSpec((columns,)), root=str(root), num_dims=columns, path=path)
    data.setup()
    return data


def test_the_last_tenths_are_held_out_and_do_not_touch_the_statistics(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(3.0, 5.0, (1000, 4))
    rows[900:] += 1e6  # must not move what the others are normalised by
    np.save(tmp_path / "t.npy", rows)
    data = table(tmp_path, "t.npy", 4)
    assert (data.train.size, data.val.size, data.test.size) == (810, 90, 100)
    known = torch.cat([data.train.x, data.val.x]).double()
    assert known.mean(0).abs().max() < 1e-6
    assert (known.std(0, correction=0) - 1.0).abs().max() < 1e-6
    back = known.numpy() * rows[:900].std(0) + rows[:900].mean(0)
    assert np.allclose(back, rows[:900], atol=1e-4)  # in the order of the file
    assert data.test.x.min() > 1e4
    assert data.train.y is None


def test_log_scale_takes_likelihoods_to_the_raw_data(tmp_path: Path) -> None:
    """A Gaussian fitted to normalised rows, less `log_scale`, is the Gaussian fitted to raw ones."""
    rows = np.random.default_rng(1).normal([0.0, 5.0], [0.1, 30.0], (2000, 2))
    np.save(tmp_path / "t.npy", rows)
    data = table(tmp_path, "t.npy", 2)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(data.val.x.double()).sum(1) - data.log_scale
    known, raw = torch.from_numpy(rows[:1800]), torch.from_numpy(rows[1620:1800])
    fitted = torch.distributions.Normal(known.mean(0), known.std(0, correction=0)).log_prob(raw).sum(1)
    assert torch.allclose(normal, fitted, atol=1e-4)
    assert math.isclose(data.facts["log_scale"], data.log_scale, abs_tol=1e-6)


def test_npz_and_csv_hold_the_same_table(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).normal(size=(100, 3)).round(6)
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", rows)
    np.savez(tmp_path / "parts.npz", train=rows[:81], val=rows[81:90], test=rows[90:])
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    (tmp_path / "a.csv").write_text("\n".join(["mass,speed,age", *lines]))
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n\n")
    first, *others = [table(tmp_path, name, 3) for name in ("a.npy", "a.npz", "parts.npz", "a.csv", "plain.csv")]
    for other in others:
        for part in ("train", "val", "test"):
            assert torch.equal(getattr(first, part).x, getattr(other, part).x)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "1,2\n3,x\n", "line 2 is not 2 numbers"),
        ("t.csv", "1,2\n3\n", "line 2 is not 2 numbers: it has 1 column\\b"),
        ("t.csv", "1,2\n3,1_000\n", "line 2 is not 2 numbers: column 2 holds '1_000'"),
        ("t.csv", "1,2\n3,\n", r"line 2 is not 2 numbers: column 2 holds '' \(a value is missing; a model"),
        ("t.csv", "1,2\n3,red\n", r"column 2 holds 'red' \(write categories and labels as whole numbers\)"),
        ("t.csv", "1 2\n3 4\n", r"columns are separated by commas, semicolons or tabs"),
        ("t.csv", '"1,5","2"\n' * 20, r"column 1 holds '1,5' \(with decimal commas, .* semicolons or tabs\)"),
        ("t.csv", "a,1\n" + "3,4\n" * 20, r"column 1 holds 'a' \(data.header=true takes the line for names\)"),
        ("t.csv", '1,2\n3,"4\n' + "5,6\n" * 50_000, "line 2 has a quote that is not closed"),
        ("t.csv", '"a,b\n' + "5,6\n" * 50, "line 1 has a quote that is not closed"),
        ("t.csv", "1;1.000,5\n" * 20, "both . and , in them"),
        ("t.csv", "0,1\n" + "3,4\n" * 20, "its first line, 0,1, may be names or numbers: say data.header=true"),
        ("t.csv", "0,1\0\n" * 20, "zero bytes"),
        ("t.csv", "", "it is empty"),
        ("t.csv", "1,1e308\n2,-1e308\n" * 20, "column 2 reaches 1e.308, too large"),
        ("t.csv", "0.1,1\n0.1,2\n" * 20, "column 1 is constant"),
        ("t.csv", "1,2\n" * 5, "t.csv has 5 rows, too few"),
        ("t.csv", "1,2\n2,nan\n" * 20, "20 values are not finite, the first in line 2, column 2"),
        ("t.csv", "1,2\n2,2\n" * 20, "column 2 is constant"),
        ("t.csv", "1,2,3\n2,4,1\n" * 20, "data.num_dims=2: .*t.csv has 3 columns"),
        ("t.npy", "<html>", "t.npy cannot be read as a table"),
        ("t.txt", "1,2", "ends in .npy, .npz, .csv or .tsv"),
        ("other", "", "t.csv: there is no such file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, name if name.startswith("t.") else "t.csv", 2)
    assert "\n" not in str(error.value)


def test_a_file_of_the_current_folder_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "own.csv").write_text("1,2\n")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match=f"own.csv: there is no such file; .* data.path={tmp_path}/here/own.csv$"):
        table(tmp_path, "own.csv", 2)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("t.npy", np.zeros(20, [("a", float), ("b", float)]), "its rows are records with the fields a, b"),
        ("t.npy", np.array(3.0), r"its array has shape \(\), expected \(rows, columns\)"),
        ("t.npy", np.zeros(20), r"has shape \(20,\)"),
        ("t.npy", np.array([["1", "2"]] * 20), "it holds <U1, expected real numbers"),
        ("t.npy", np.ones((20, 2)) * 1j, "it holds complex128"),
        ("t.npz", np.zeros((20, 2)), "it is an .npy file by its content: rename it"),
    ],
)
def test_arrays_that_are_no_table_are_one_line(tmp_path: Path, name: str, array: np.ndarray, message: str) -> None:
    with open(tmp_path / name, "wb") as file:
        np.save(file, array)
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, name, 2)
    assert "\n" not in str(error.value) and name in str(error.value)


def test_an_archive_of_arrays_under_the_other_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros((20, 2)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(DataError, match="it is an .npz file by its content: rename it"):
        table(tmp_path, "a.npy", 2)


def test_values_that_are_not_finite_are_found_in_the_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    np.savez(tmp_path / "parts.npz", train=rows, val=rows, test=np.where(rows == rows[7, 1], np.nan, rows))
    with pytest.raises(DataError, match=r"1 values are not finite, the first in test\[7, 1\]"):
        table(tmp_path, "parts.npz", 3)
    lines = ["a,b,c", "", *(",".join(map(str, row)) for row in rows.tolist())]
    lines[95] = "1,inf,3"
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="the first in line 96, column 2"):
        table(tmp_path, "a.csv", 3)


def test_dialects_hold_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = np.random.default_rng(2).normal(size=(100, 3)).round(6)
    np.save(tmp_path / "a.npy", rows)
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    plain = "\n".join(lines)
    texts = {
        "semicolon.csv": plain.replace(",", ";"),
        "tab.tsv": plain.replace(",", "\t"),
        "german.CSV": "Länge;Masse;Zeit\n" + plain.replace(",", ";").replace(".", ","),
        "windows.csv": plain.replace("\n", "\r\n"),
        "quoted.csv": '"a, or b","c","d"\n' + plain,
        "pandas.csv": "0,1,2\n" + plain,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "excel.csv").write_text("Länge\tMasse\tZeit\n" + plain.replace(",", "\t"), encoding="utf-16")
    first = table(tmp_path, "a.npy", 3)
    for name in (*texts, "excel.csv"):
        assert torch.equal(first.train.x, table(tmp_path, name, 3).train.x), name
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pandas.csv: its first line, 0,1,2, is taken for the names of columns" in said


@pytest.mark.parametrize(("header", "num"), [(True, 20), (False, 21)])
def test_header_decides_where_it_cannot_be_seen(tmp_path: Path, header: bool, num: int) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" + "".join(f"{row},{row % 7}\n" for row in range(20)))
    data = Tabular(DataSpec((2,)), root=str(tmp_path), num_dims=2, path="t.csv", header=header)
    data.setup()
    assert data.train.size + data.val.size + data.test.size == num


def test_latin_text_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("1,2\nä,3\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 2 is no UTF-8 text: save it as UTF-8"):
        table(tmp_path, "t.csv", 2)


def test_a_column_that_varies_by_rounding_alone_is_constant(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2))
    np.save(tmp_path / "t.npy", np.column_stack([rows[:, 0], 0.1 + 1e-17 * np.arange(100)]))
    with pytest.raises(DataError, match="column 2 is constant"):
        table(tmp_path, "t.npy", 2)
    np.save(tmp_path / "t.npy", np.column_stack([rows[:, 0], 1.6e9 + 100.0 * rows[:, 1]]))  # seconds since 1970
    assert table(tmp_path, "t.npy", 2).train.x.std(0).sub(1.0).abs().max() < 0.1


def test_a_pickle_in_an_array_file_is_not_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    np.save(tmp_path / "t.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="t.npy cannot be read as a table"):
        table(tmp_path, "t.npy", 2)
    assert not (tmp_path / "executed").exists()


def test_miniboone_rows_are_normalised(shared_data: Path) -> None:
    data = table(shared_data, "miniboone_prefix/data.npy", 43)
    assert (data.train.size, data.val.size, data.test.size) == (1234, 137, 152)
    assert torch.isfinite(data.test.x).all()
    assert data.facts["splits"]["test"] == 152
