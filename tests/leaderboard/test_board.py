"""What the page says of a table, without a browser: columns, headings, badges, reasons, colours, front, forest, joins."""

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from genarena.leaderboard import aspects, board, comparison, drawing, facts, made, overview, page, plots, reasons
from genarena.leaderboard.axes import Axis, make_axis
from genarena.leaderboard.forest import forest
from genarena.leaderboard.heads import heads
from genarena.leaderboard.illustrations import Illustrations
from genarena.leaderboard.joins import joined
from genarena.leaderboard.runs import Run, find_runs
from genarena.leaderboard.tables import Table, make_tables
from tests.leaderboard.benchmark import benchmark
from tests.leaderboard.rows import make_row, write_rows


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return tables_of(tmp_path_factory.mktemp("runs"), benchmark())[0]


def tables_of(folder: Path, rows: list[dict]) -> list[Table]:
    runs, broken = find_runs(write_rows(folder, rows))
    assert broken == []
    return make_tables(runs)


def test_seven_columns_are_seen_first_one_of_each_kind(table: Table) -> None:
    html = page.render([table], [])
    head = html[html.index('<table class="board') : html.index("</thead>")]
    shown = [each for each in re.findall(r"<th [^>]*>", head) if " hidden" not in each]
    assert len(shown) == 7
    assert re.findall(r'data-column="(\w+)"', "".join(shown)) == aspects.overview(table)
    assert sorted(re.findall(r'data-aspect="(\w+)"', "".join(shown))) == sorted(aspects.ASPECTS)
    assert aspects.overview(table)[0] == table.ranked_by  # the phone shows it beside name and rank
    assert len(re.findall(r"<th [^>]*>", head)) == len(table.columns) + 5  # none is gone


def test_a_table_with_few_columns_shows_them_all(tmp_path: Path) -> None:
    (few,) = tables_of(tmp_path, [make_row("vae"), make_row("glow")])
    assert len(aspects.overview(few)) == min(5, len(few.columns))


def test_headings_say_meaning_n_features_and_the_value_of_real_data(table: Table) -> None:
    found = {head.column.key: head for head in heads(table)}
    recall = found["recall"]
    assert recall.meaning == "Improved recall: which share of the data do the samples cover?"
    assert (recall.n, recall.features, recall.real_text) == ("1,000", "domain classifier", "0.8800")
    assert (recall.arrow, recall.direction) == ("→", "nearer to real data is better")
    assert recall.key_of(0.98) == pytest.approx(recall.key_of(0.78))  # as far from 0.88
    assert found["fd_domain"].key_of(7.0) == 7.0
    assert all(head.meaning for head in found.values())
    html = page.render([table], [])
    assert "Which share of the data do the samples cover?" in html  # not in a tooltip
    assert found["fd_domain"].brief.startswith(
        "How far samples are from test data"
    )  # the meaning, not the name of the formula
    assert found["bits_per_dim"].brief.startswith("The bits that the model needs for each value")
    glossary = re.findall(r"<dt>([^<]*)</dt>", html)
    assert {"floor, ceiling", "real", "n", "line, seed", "rank", "data set", "protocol", "FLOP", "nat"} <= set(glossary)
    assert recall.meaning in html[html.index('id="glossary"') :]


def test_neutral_columns_are_sorted_by_distance_to_the_held_out_set_where_real_is_not_recorded(tmp_path: Path) -> None:
    ratio = {"n": 10, "higher_is_better": None, "title": "NN ratio"}
    rows = [
        row | {"metrics": row["metrics"] | {"nearest_neighbour_ratio": ratio | {"value": value}}}
        for value, row in (
            (0.0, make_row("memoriser", family="baseline")),
            (1.0, make_row("heldout", family="baseline")),
        )
    ]
    head = next(head for head in heads(tables_of(tmp_path, rows)[0]) if head.column.key == "nearest_neighbour_ratio")
    assert (head.key_of(0.0), head.key_of(1.1)) == (1.0, pytest.approx(0.1))  # a copier is not on top


def test_a_reason_is_given_once_for_all_columns_and_lines_that_it_empties(table: Table) -> None:
    (found,) = [reason for reason in reasons.reasons(table) if "likelihood" in reason.text]
    assert found.columns == ("bits/dim", "NLL (nats)")
    assert sorted(found.lines) == ["dcgan", "heldout", "injective_flow", "memoriser", "sngan"]


def test_estimates_are_not_best_and_on_no_front(tmp_path: Path) -> None:
    """An energy-based model with a flattering estimate, and as good samples as the others."""
    rows = [
        row | {"metrics": row["metrics"] | {"bits_per_dim": row["metrics"]["bits_per_dim"] | changes}}
        for who, changes in (
            (("ebm", 1.0, "energy"), {"value": 0.1, "likelihood": "estimate"}),
            (("vae", 2.0, "vae"), {"value": 2.0, "likelihood": "lower_bound"}),
            (("glow", 3.0, "flow"), {"value": 1.5, "likelihood": "exact"}),
        )
        for row in [make_row(who[0], seed, who[1], family=who[2]) for seed in range(3)]
    ]
    (found,) = tables_of(tmp_path, rows)
    assert "ebm" not in board.board(found, Illustrations(), ()).best["bits_per_dim"]
    plot = next(plot for plot in plots.of_table(found, {})["Trade-offs"] if plot.title == "Likelihood against quality")
    at = {mark.line.model: f"{mark.x:.1f},{mark.y:.1f}" for mark in plot.marks}
    corners = plot.front.split()
    assert at["ebm"] not in corners
    assert {at["vae"], at["glow"]} <= set(corners)


def test_alarm_and_starved_runs_carry_badges_and_the_reason_in_words(tmp_path: Path) -> None:
    rows = benchmark(seeds=1)
    rows[4]["metrics"]["authpct"]["alarm"] = "212 of 1,000 samples are copies"
    for row in rows:
        row["budget"] = {"name": "cpu_1min", "minutes": 1, "examples": None}
    rows[6]["machine"]["starved"] = "0.41 of two threads"
    (found,) = tables_of(tmp_path, rows)
    badges = {line.model: [each.kind for each in board.badges(line)] for line in found.lines}
    assert {model: kinds for model, kinds in badges.items() if kinds} == {"vae": ["alarm"], "realnvp": ["starved"]}
    html = page.render([found], [])
    assert '<p class="warning"><b class="badge alarm">copies</b> vae: 212 of 1,000 samples are copies</p>' in html
    assert "realnvp: 0.41 of two threads</p>" in html


def test_a_family_has_one_colour_whoever_else_is_there(tmp_path: Path) -> None:
    first, second = (
        tables_of(tmp_path / str(index), [make_row("vae"), make_row("x", value=2.0, family=other)])[0]
        for index, other in enumerate(("autoregressive", "unheard of"))
    )
    for found in (first, second):
        (plot,) = [each for each in plots.of_table(found, {})["Quality against cost"] if each.title.endswith("size")]
        assert [mark.colour for mark in plot.marks if mark.line.model == "vae"] == [drawing.COLOURS["vae"]]
    named = set(drawing.COLOURS.values())
    assert len(named) == len(drawing.COLOURS)
    assert drawing.colour("unheard of") not in named
    style = (Path(page.__file__).parent / "page.css").read_text()
    assert all(style.count(f"--c{number}: #") == 2 for number in (*named, *drawing.SPARE))  # light and dark


def test_families_of_shipped_models_have_colours_of_their_own() -> None:
    models = Path(page.__file__).parent.parent / "models"
    families = {
        name for path in models.glob("*/*.py") for name in re.findall(r'^    family = "(\w+)"', path.read_text(), re.M)
    }
    assert families
    assert families <= set(drawing.COLOURS)


def test_short_names_keep_the_values_that_tell_lines_apart(tmp_path: Path) -> None:
    rows = [make_row("glow", overrides=[f"sampler.temperature={t}"], run=str(t)) for t in (0.7, 0.85)]
    (found,) = tables_of(tmp_path, [*rows, make_row("vae", run="vae", overrides=["model.latent_dim=2"])])
    names = sorted(drawing.short_name(line, found) for line in found.lines)
    assert names == ["glow temperature=0.7", "glow temperature=0.85", "vae"]
    assert sorted(drawing.short_name(line, found, 16) for line in found.lines) == [
        "glow temp.=0.7",
        "glow temp.=0.85",
        "vae",
    ]


def test_forest_is_to_scale_between_its_references(table: Table) -> None:
    plot = forest(table)
    assert plot is not None
    assert [row.line.name for row in plot.rows] == [line.name for line in table.lines if not line.is_reference]
    names = {mark.name: mark.x for mark in plot.references}
    assert set(names) == {
        "memoriser (ceiling)",
        "heldout (ceiling)",
        "gaussian (floor)",
        "uniform (floor)",
        "real data",
    }
    at = plot.axis.scale(plot.left, plot.right)
    for row in plot.rows:
        assert row.x == at(row.line.cells["fd_domain"].value)
        assert row.bar[0] < row.x < row.bar[1]
        assert sorted(row.seeds) == sorted(at(value) for value in row.line.values("fd_domain"))
    assert names["real data"] == at(4.13)


def test_forest_names_of_references_do_not_cover_each_other(table: Table) -> None:
    by_height: dict[float, list] = {}
    for mark in forest(table).references:
        by_height.setdefault(mark.y, []).append(mark)
    for marks in by_height.values():
        ends = [(mark.start, mark.start + 6 * len(mark.name)) for mark in sorted(marks, key=lambda mark: mark.start)]
        assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))


@pytest.mark.parametrize(("low", "high"), [(40, 120), (1, 6), (30, 33_000), (1e-6, 1e-2), (7, 40), (2e10, 3e13)])
def test_a_logarithmic_axis_has_enough_ticks(low: float, high: float) -> None:
    axis = make_axis("", [low, high])
    axis = axis if axis.log else Axis("", low, high, True)
    axis.place_ticks(0.0, 300.0)
    assert 3 <= len(axis.ticks) <= 8
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)


def test_lines_that_differ_in_temperature_are_joined(tmp_path: Path) -> None:
    rows = [
        make_row("glow", overrides=[f"sampler.temperature={t}", *more], run=f"{t}{more}", value=t)
        for t in (0.7, 1.3, 0.85)
        for more in ((), ("model.depth=2",))
    ]
    rows += [make_row("glow"), make_row("vae"), make_row("vae", overrides=["model.latent_dim=2"], run="2")]
    (found,) = tables_of(tmp_path, rows)
    groups = [[line.overrides for line in group] for group in joined(found.lines, ("temperature",))]
    plain = [("sampler.temperature=0.7",), ("sampler.temperature=0.85",), (), ("sampler.temperature=1.3",)]
    deep = [(f"sampler.temperature={t}", "model.depth=2") for t in (0.7, 0.85, 1.3)]
    assert sorted(groups) == sorted([plain, deep])


def test_entries_of_the_navigation_differ() -> None:
    """Two machines, then tables of other data."""
    names = [("digits", "laptop"), ("digits", "H100"), ("mnist", "H100"), ("cifar10", "H100")]
    tables = [SimpleNamespace(data_id=data, budget="10 min", machine=machine, lines=[]) for data, machine in names]
    links = overview.navigation(tables)
    assert len({f"{link.label} {link.apart}" for link in links}) == 4
    assert [link.apart for link in links[:3]] == ["on laptop", "on H100", ""]


def test_matrix_has_rank_and_value_of_every_model_and_data_set(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, [*benchmark(seeds=1), *benchmark("mnist-0f97a35a", seeds=1)])
    matrix = overview.places(tables)
    assert list(matrix)[-4:] == ["gaussian", "heldout", "memoriser", "uniform"]  # references last
    for name, places in matrix.items():
        assert set(places) == {0, 1}
        for index, place in places.items():
            assert place.line.name == name
            assert place.text == place.line.cells[tables[index].ranked_by].text
    html = page.render(tables, [])
    assert all(f'<details id="model-{model}"' in html for model in overview.models(tables))
    assert 'id="matrix"' not in page.render(tables[:1], [])


def test_the_top_says_when_from_what_and_how_much(tmp_path: Path) -> None:
    rows = [*benchmark(seeds=2), make_row("maf", status="failed", error="no memory", metrics={})]
    rows[-1]["data"] = rows[0]["data"]
    tables = tables_of(tmp_path, rows)
    origin = made.Made.now("python scripts/leaderboard.py", ("leaderboard.csv", "leaderboard.tex"))
    html = page.render(tables, ["one"], origin=origin)
    top = html[: html.index("How to read it")]
    assert "1 table, 14 lines, 28 runs, 1 failed, 1 left out; 2 seeds each" in top
    assert origin.date in top
    assert '<a href="leaderboard.csv">CSV</a>, <a href="leaderboard.tex">LaTeX</a>' in top
    assert "@misc{genarena" in html[html.index('id="cite"') :]


def test_records_are_words_with_rounded_numbers() -> None:
    record = {"k": 3, "backbone": {"name": "net", "accuracy": 0.986111111111111}, "cells": [{"z": 18.609146990728746}]}
    row = make_row()
    row["metrics"]["fd_domain"] |= record | {"settings": {}, "share": 1 / 3, "flag": True}
    (rest,) = [each[3] for each in facts.metrics(Run(row, Path("x"))) if each[0] == "fd_domain"]
    assert rest.endswith("k 3, backbone (name net, accuracy 0.9861), cells (z 18.61), share 0.3333, flag yes")


def test_settings_in_the_page_are_data_whatever_they_say(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>&amp;"
    rows = benchmark(seeds=1)[4:6]
    rows[0]["line"]["settings"][hostile] = hostile
    (found,) = tables_of(tmp_path, rows)
    text = comparison.comparable(page.runs_of([found]))
    assert not set("<>&") & set(text)
    assert text in page.render([found], [])
    content = json.loads(text)
    values = [{**content["common"], **run["own"]}.get(hostile) for run in content["runs"]]
    assert set(values) == {hostile, None}
    assert page.render([found], []).count("<script>") == 1


def test_runs_that_would_read_alike_are_told_apart(tmp_path: Path) -> None:
    rows = [make_row(run="one"), make_row(run="other"), make_row("glow")]
    rows[1]["line"] |= {"id": "another", "sources": {"genarena.models.vae": "1"}}  # the same settings, other code
    (found,) = tables_of(tmp_path, rows)
    content = json.loads(comparison.comparable(page.runs_of([found])))
    names = ["digits-0: glow, seed 0", "digits-0: vae, seed 0, one", "digits-0: vae, seed 0, other"]
    assert sorted(run["name"] for run in content["runs"]) == names


def test_a_metric_may_say_what_it_is_about(tmp_path: Path) -> None:
    row = make_row()
    row["metrics"]["fd_domain"]["aspect"] = "memorisation"
    row["metrics"]["bits_per_dim"]["aspect"] = "beauty"  # no such aspect: the usual one
    (found,) = tables_of(tmp_path, [row])
    assert [aspects.aspect(found.column[key], found) for key in ("fd_domain", "bits_per_dim")] == [
        "memorisation",
        "likelihood",
    ]


def test_what_is_odd_about_a_model_is_said(tmp_path: Path) -> None:
    row = make_row()
    row["cost"]["odd"] = "two seeds gave the same samples"
    (found,) = tables_of(tmp_path, [row, make_row("glow")])
    assert [each.text for line in found.lines for each in board.badges(line)] == ["odd"]
    assert "vae: two seeds gave the same samples" in page.render([found], [])
