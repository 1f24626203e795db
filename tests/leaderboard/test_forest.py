"""The bars of the forest plot: what their ends are, and that the legend says so."""

from pathlib import Path

import pytest

from genarena.leaderboard import page
from genarena.leaderboard.forest import Forest, forest
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.rows import make_row, write_rows


def plotted(tmp_path: Path, **values: tuple[float, ...]) -> tuple[Forest, str]:
    """The plot of models with these values, one of each seed and with a standard error of 0.5, and its page."""
    rows = [make_row(name, seed, value) for name, all_ in values.items() for seed, value in enumerate(all_)]
    for row in rows:
        row["metrics"]["fd_domain"] |= {"standard_error": 0.5, "range": [0.0, None]}
    tables = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    plot = forest(tables[0])
    assert plot is not None
    return plot, page.render(tables, [])


def test_one_seed_has_a_thin_bar_of_1_96_standard_errors(tmp_path: Path) -> None:
    plot, text = plotted(tmp_path, one=(3.0,), near=(0.4,), two=(4.0, 4.5), three=(6.0, 6.1, 6.2))
    rows, at = {row.line.model: row for row in plot.rows}, plot.axis.scale(plot.left, plot.right)
    assert rows["one"].bar == pytest.approx((at(3.0 - 0.98), at(3.0 + 0.98)))
    assert rows["near"].bar == pytest.approx((at(0.0), at(0.4 + 0.98)))  # no distance is below zero
    assert rows["two"].bar is None and len(rows["two"].seeds) == 2
    assert {name for name, row in rows.items() if row.is_of_one} == {"one", "near"}
    assert rows["three"].bar == pytest.approx(tuple(map(at, rows["three"].line.cells["fd_domain"].interval)))
    assert text.count('class="bar thin"') == 2
    assert "Thin bars, of a single seed, are ± 1.96 standard errors" in plot.note and "Thick bars are 95%" in plot.note


def test_the_legend_has_no_word_of_what_is_not_there(tmp_path: Path) -> None:
    plot, _ = plotted(tmp_path, a=(1.0, 1.1, 1.2), b=(2.0, 2.1, 2.2))
    assert plot.note.startswith("Further left is better. Large points are means")
    assert not any(word in plot.note for word in ("Thin", "Hollow", "Dashed"))
