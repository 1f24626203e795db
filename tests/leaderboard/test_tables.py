"""What may share a table, what a cell says, and the formats it leaves in."""

import csv
import io
import json
import math
from pathlib import Path

import pytest
from scipy import stats

from genarena.errors import UserError
from genarena.leaderboard import formats
from genarena.leaderboard.tables import find_runs, make_tables, number, t_half_width
from tests.leaderboard.rows import make_row, write_rows


def tables(tmp_path: Path, *rows: dict):
    return make_tables(find_runs(write_rows(tmp_path, list(rows)))[0])


def test_interval_is_students_t() -> None:
    values = [1.0, 2.0, 4.0, 3.5]
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert math.isclose(t_half_width(values), (high - low) / 2, rel_tol=1e-12)


def test_seeds_become_mean_and_interval(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, *(make_row(seed=seed) for seed in range(3)))
    (line,) = table.lines
    cell = line.cells["bits_per_dim"]
    assert line.seeds == [0, 1, 2]
    assert math.isclose(cell.value, 2.1)
    assert cell.text == "≤2.10 ± 0.25"  # t(2) = 4.303, s = 0.1: 4.303 * 0.1 / sqrt(3) = 0.248
    assert line.cells["fd_domain"].half_width == 0.0


def test_the_sign_is_that_of_the_number(tmp_path: Path) -> None:
    """A GAN claims no likelihood, and still has an estimate of its own from annealed importance sampling."""
    ais = {"ais_nll_nats": {"value": 90.0, "n": 16, "likelihood": "estimate"}, "recall": {"value": 0.5, "n": 16}}
    (table,) = tables(tmp_path, make_row("dcgan", likelihood="none", metrics=ais))
    cells = table.lines[0].cells
    assert (cells["ais_nll_nats"].text, cells["recall"].text) == ("~90.00", "0.5000")


def test_different_data_protocol_or_budget_never_share_a_table(tmp_path: Path) -> None:
    rows = [make_row(), make_row(data={"id": "mnist-0", "split": "test"}), make_row(protocol={"id": "p1"}),
            make_row(budget={"name": "smoke", "minutes": None, "examples": 128}),
            make_row(budget={"name": "cpu_1min", "minutes": 1, "examples": None})]  # fmt: skip
    assert len(tables(tmp_path, *rows)) == 5


def test_overrides_make_another_line_and_a_repeated_seed_counts_once(tmp_path: Path) -> None:
    rows = [make_row(value=9.0), make_row(value=1.0, time="2026-01-02T00:00:00"),
            make_row(overrides=["model.latent_dim=2"], value=5.0)]  # fmt: skip
    (table,) = tables(tmp_path, *rows)
    assert [line.name for line in table.lines] == ["vae", "vae model.latent_dim=2"]
    assert table.lines[0].cells["fd_domain"].value == 1.0  # the newest, not the best


def test_a_seed_without_a_value_leaves_the_cell_empty(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(seed=0), make_row(seed=1, value=None), make_row("glow", value=2.0))
    cells = {line.model: line.cells["fd_domain"] for line in table.lines}
    assert cells["vae"].value is None
    assert cells["vae"].reason == "no labels"
    assert [line.model for line in table.lines] == ["glow", "vae"]


def test_a_metric_nobody_has_becomes_a_note(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(value=None))
    assert table.empty == {"fd_domain": "no labels"}
    assert "fd_domain" not in [column.key for column in table.columns]


def test_failed_runs_are_listed_not_ranked(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(), make_row("glow", status="failed", error="Diverged: at 3%", metrics={}))
    assert [line.model for line in table.lines] == ["vae"]
    assert [run.row["model"] for run in table.failed] == ["glow"]
    for text in (formats.markdown([table]), formats.as_json([table])):
        assert "Diverged: at 3%" in text


def test_unreadable_rows_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row(), make_row("broken")])
    path = tmp_path / "digits" / "broken" / "1" / "result.json"
    path.write_text(path.read_text()[:50])
    runs, broken = find_runs(tmp_path)
    assert len(runs) == 1
    assert len(broken) == 1
    assert str(path) in broken[0]
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no finished run"):
        find_runs(tmp_path / "empty")


def test_formats_agree_and_escape(tmp_path: Path) -> None:
    hostile = "a_b&<|>%"
    (table,) = tables(tmp_path, make_row(overrides=[hostile]), make_row("=cmd()", value=3.0))
    rows = list(csv.DictReader(io.StringIO(formats.comma_separated([table]))))
    parsed = json.loads(formats.as_json([table]))["lines"]
    for row, line, record in zip(rows, table.lines, parsed, strict=True):
        assert float(row["fd_domain"]) == line.cells["fd_domain"].value == record["cells"]["fd_domain"]["value"]
        assert row["fd_domain_ci95"] == ""
    assert rows[1]["model"] == "'=cmd()"
    assert r"a\_b\&\textless{}|\textgreater{}\%" in formats.latex([table])
    assert r"a\_b&\<\|\>%" in formats.markdown([table])


def test_numbers_are_readable() -> None:
    shown = [number(value) for value in (0.0, 1234567.0, 0.12345, 12.3456, 0.00001234, 2.0, 123.456)]
    assert shown == ["0", "1,234,567", "0.1235", "12.35", "1.23e-05", "2.000", "123.5"]
