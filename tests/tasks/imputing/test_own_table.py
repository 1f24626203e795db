"""From the command line: runs are scored, with holes and without, and fill a table of a user; what cannot be is one line."""

import csv
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from genarena import config
from genarena.config import compose
from genarena.run import run
from genarena.runs import results

QUIET = ["budget=smoke", "metrics=[]", "callbacks.progress=false", "callbacks.grid_size=1", "logger=none"]
MEAN, ROOT = np.array([10.0, -200.0, 0.5]), np.array([[1.0, 0, 0], [30.0, 10.0, 0], [0.1, 0.1, 0.2]])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of gaussian on a table of a Gaussian whose columns have other units, with holes and without; and on digits."""
    folder = tmp_path_factory.mktemp("place")
    rows = MEAN + np.random.default_rng(0).normal(size=(4000, 3)) @ ROOT.T
    np.savetxt(folder / "table.csv", rows, delimiter=",", header="alpha,beta,gamma", comments="")
    table = ["data=tabular", f"data.path={folder / 'table.csv'}", "data.num_dims=3"]
    for name, more in (
        ("holes", [*table, "data.missing=mcar", "budget.examples=4000"]),
        ("full", [*table, "budget.examples=4000"]),
        ("digits", ["data=digits"]),
    ):
        run(compose(["model=gaussian", *QUIET, *more, f"runs_dir={folder / name}"]))
    return folder


def only_run(folder: Path) -> Path:
    (found,) = folder.glob("*/gaussian/*")
    return found


def program(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    try:
        runpy.run_path(str(config.SOURCE / "scripts" / name), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def test_both_columns_have_tables_of_their_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for name, column in (("holes", "inductive"), ("full", "complete")):
        arguments = ["task=impute", f"run={only_run(place / name)}", f"column={column}"]
        program(monkeypatch, "task.py", *arguments, "num_rows=100", "num_train=60")
        (path,) = (place / name).rglob("imputation-*/result.json")
        found[column] = results.read_row(path)
        own, em = (
            found[column]["task"][group][line]["metrics"]["crps"]["value"]
            for group, line in (("lines", ""), ("floors", "gaussian_em"))
        )
        assert own < 1.2 * em  # which saw fewer rows
        assert "downstream_linear" not in found[column]["task"]["lines"][""]["metrics"]  # no target
    assert found["inductive"]["data"]["id"] != found["complete"]["data"]["id"]
    assert found["inductive"]["task"]["protocol"]["id"] != found["complete"]["task"]["protocol"]["id"]


@pytest.mark.parametrize("name", ["holes", "full"])
def test_a_table_is_filled_in_its_units(
    place: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conditional mean of a Gaussian, by hand."""
    table, out = tmp_path / "mine.csv", tmp_path / "out.csv"
    table.write_text("alpha,beta,gamma\n12.0,,0.5\n,-180,\n11,-190,0.7\n")
    run_folder = only_run(place / name)
    program(monkeypatch, "impute.py", f"run={run_folder}", f"table={table}", f"out={out}", "num_draws=10")
    read = list(csv.reader(out.open()))
    assert read[0] == ["alpha", "beta", "gamma"] and read[3] == ["11", "-190", "0.7"]
    assert (read[1][0], read[1][2], read[2][1]) == ("12.0", "0.5", "-180")
    s = ROOT @ ROOT.T
    beta = MEAN[1] + s[1, [0, 2]] @ np.linalg.solve(s[np.ix_([0, 2], [0, 2])], np.array([12.0, 0.5]) - MEAN[[0, 2]])
    alpha = MEAN[0] + s[0, 1] / s[1, 1] * (-180.0 - MEAN[1])
    assert float(read[1][1]) == pytest.approx(beta, abs=4 * 10 / 10**0.5)  # of ten draws of that spread
    assert float(read[2][0]) == pytest.approx(alpha, abs=4 * 0.32 / 10**0.5)
    program(monkeypatch, "impute.py", f"run={run_folder}", f"table={table}", f"out={tmp_path / 'b.csv'}", "fill=draw")
    one = list(csv.reader((tmp_path / "b.csv").open()))
    assert one[1][1] != read[1][1] and one[3] == read[3]


def test_a_column_without_a_number_is_filled_too(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the others; also where the table has no names, or the run's rows have none."""
    table, out = tmp_path / "mine.tsv", tmp_path / "out.tsv"
    table.write_text("12.0\t\t0.5\n9.0\tNA\t0.4\n")
    program(monkeypatch, "impute.py", f"run={only_run(place / 'full')}", f"table={table}", f"out={out}")
    read = [line.split("\t") for line in out.read_text().splitlines()]
    assert [(row[0], row[2]) for row in read] == [("12.0", "0.5"), ("9.0", "0.4")]
    assert all(-260 < float(row[1]) < -140 for row in read)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("1,,3,4\n", [], "line 1 has 4 columns, and the data of the run has 3"),
        ("1,,x\n", [], "line 1, column 3 holds 'x', expected a number or nothing"),
        ("1 2 3\n4 5 6\n", [], "line 2 has 1 column, and the data of the run has 3 (columns are separated by commas"),
        ("alpha,bta,gamma\n1,,3\n", [], "column 2 is called 'bta', expected 'beta'"),
        (
            "beta,alpha,gamma\n1,,3\n",
            [],
            "column 1 is called 'beta', expected 'alpha' (the columns stand in another order)",
        ),
        ("1;2,5;\n", [], "line 1, column 2 holds '2,5', expected a number or nothing"),
        ("1,2,\n,,\n", [], "line 2 has no number: all entries of the row are missing"),
        ("1,2,\n", ["run={digits}"], "its data has shape (1, 8, 8), expected a table"),
        ("1,2,\n", ["fill=median"], "fill=median: expected mean, draw"),
        ("1,2,\n", ["num_draws=1"], "num_draws=1: expected 2 to 10"),
        ("1,2,\n", ["algorithm=one_step"], "task=impute: Gaussian cannot do this task"),
        ("1,2,\n", ["out={table}"], "is the table itself"),
    ],
)
def test_what_cannot_be_is_one_line(
    place: Path,
    text: str,
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(text)
    given = {"run": str(only_run(place / "full")), "table": str(table), "out": str(tmp_path / "out.csv")}
    places = {"table": table, "digits": only_run(place / "digits")}
    given |= dict(option.format(**places).split("=", 1) for option in options)
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, "impute.py", *(f"{key}={value}" for key, value in given.items()))
    told = capsys.readouterr().err
    assert ended.value.code == 2 and len(told.splitlines()) == 1 and said in told, told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv"] and table.read_text() == text
