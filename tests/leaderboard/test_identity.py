"""What is one line and what is one column: the identity of a run decides, not its name; what differs is said in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from genarena.errors import UserError
from genarena.leaderboard import formats, page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import Table, make_tables
from tests.leaderboard.rows import make_line, make_row, with_protocol, write_rows, write_sealed

MINUTES = {"name": "cpu_1min", "minutes": 1.0, "examples": None}


def tables(tmp_path: Path, *rows: dict) -> list[Table]:
    return make_tables(find_runs(write_rows(tmp_path, list(rows)))[0])


def names(table: Table) -> set[str]:
    return {line.name for line in table.lines}


def test_an_edited_yaml_another_precision_and_another_source_are_lines_of_their_own(tmp_path: Path) -> None:
    """The command line of all of them was `model=vae`."""
    rows = [
        make_row(line=make_line("vae", model__latent_dim=32, trainer__precision="32-true")),
        make_row(line=make_line("vae", model__latent_dim=2, trainer__precision="32-true"), seed=1),
        make_row(line=make_line("vae", model__latent_dim=32, trainer__precision="bf16-mixed"), seed=2),
        make_row(line=make_line("vae", sources="12345678", model__latent_dim=32, trainer__precision="32-true"), seed=3),
    ]
    rows[3]["line"]["sources"] = {"genarena.models.vae.vae": "12345678"}
    for row in rows[:3]:
        row["line"]["sources"] = {"genarena.models.vae.vae": "abcdef99"}
    (table,) = tables(tmp_path, *rows)
    assert [len(line.runs) for line in table.lines] == [1, 1, 1, 1]
    assert {line.runs[0].seed: line.apart for line in table.lines} == {
        0: "model.latent_dim 32, trainer.precision 32-true, source of models/vae/vae.py abcdef",
        1: "model.latent_dim 2, trainer.precision 32-true, source of models/vae/vae.py abcdef",
        2: "model.latent_dim 32, trainer.precision bf16-mixed, source of models/vae/vae.py abcdef",
        3: "model.latent_dim 32, trainer.precision 32-true, source of models/vae/vae.py 123456",
    }
    text = "vae [model.latent_dim 32, trainer.precision bf16-mixed, source of models/vae/vae.py abcdef]"
    assert text in names(table)
    written = [formats.markdown([table]).replace("\\", ""), page.render([table], [])]
    written.append("".join(str(cell) for cell in formats.terminal(table).columns[1].cells))
    assert all(text in each for each in written)


def test_seeds_of_one_line_stay_one_line_whatever_was_typed(tmp_path: Path) -> None:
    line = make_line("vae", model__latent_dim=2)
    rows = [make_row(line=line), make_row(line=line, seed=1, overrides=["model.latent_dim=2"])]
    (table,) = tables(tmp_path, *rows)
    assert [line.seeds for line in table.lines] == [[0, 1]]
    assert table.lines[0].apart == ""


def test_many_differences_are_counted_and_names_stay_different(tmp_path: Path) -> None:
    lines = [make_line("vae", **{f"model__a{index}": value for index in range(9)}) for value in (1, 2)]
    lines += [lines[0] | {"id": "0123abcd"}]  # as no run writes it
    (table,) = tables(tmp_path, *(make_row(line=line, seed=seed) for seed, line in enumerate(lines)))
    texts = {line.runs[0].seed: line.apart for line in table.lines}
    assert texts[1] == "model.a0 2, model.a1 2, model.a2 2, model.a3 2, and 5 more"
    assert len(set(texts.values())) == 3 and texts[2].endswith(", line 0123abcd")


@pytest.mark.parametrize(
    "change",
    [
        {"cost": {"device": "H200"}},
        {"cost": {"device": "Xeon", "world_size": 8}},
        {"hardware": {"threads": 16}},
    ],
    ids=str,
)
def test_minutes_of_different_machines_are_never_ranked_together(change: dict[str, Any], tmp_path: Path) -> None:
    rows = [make_row(model, budget=MINUTES) for model in ("vae", "glow")]
    for row in rows:
        row["cost"] |= {"device": "Xeon", "world_size": 1}
        row["hardware"] = {"device": "Xeon", "threads": 2}
    for part, facts in change.items():
        rows[1][part] |= facts
    one, two = tables(tmp_path, *rows)
    assert [len(one.lines), len(two.lines)] == [1, 1] and one.anchor != two.anchor
    assert "the machine (" in two.apart and two.machine in formats.caption(two)
    assert {line.rank for table in (one, two) for line in table.lines} == {"?"}
    (tmp_path / "examples").mkdir()
    for row in rows:
        row["budget"] = {"name": "smoke", "minutes": None, "examples": 64}
    (table,) = tables(tmp_path / "examples", *rows)
    assert table.machine == "" and len(table.lines) == 2


def ais(value: float, **settings: Any) -> dict[str, Any]:
    """A row whose only metric is the AIS estimate under these settings."""
    record = {"value": value, "n": 16, "title": "AIS NLL", "unit": "nats", "likelihood": "estimate"}
    return with_protocol(make_row(metrics={"ais_nll_nats": record}), **settings)


def test_one_metric_under_two_protocols_has_two_columns(tmp_path: Path) -> None:
    rows = [ais(900.0, sigma=0.2, steps=500), ais(910.0, sigma=0.2, steps=500), ais(100.0, sigma=0.01, steps=2)]
    for row, model in zip(rows, ("vae", "glow", "dcgan"), strict=True):
        row |= {"model": model, "line": make_line(model)}
    (table,) = tables(tmp_path, *rows)
    main, other = (column for column in table.columns if not column.is_cost)
    assert (main.key, main.title) == ("ais_nll_nats", "AIS NLL")
    assert other.title == "AIS NLL [sigma 0.01, not 0.2; steps 2, not 500]"
    values = {line.model: (line.cells[main.key].value, line.cells[other.key].value) for line in table.lines}
    assert values == {"vae": (900.0, None), "glow": (910.0, None), "dcgan": (None, 100.0)}
    assert "sigma 0.01, not 0.2" in page.render([table], [])
    cells = json.loads(formats.as_json([table]))["lines"][0]["cells"]
    assert cells[main.key]["protocol"] != cells[other.key]["protocol"]


def test_the_ranking_uses_the_column_with_most_lines(tmp_path: Path) -> None:
    rows = [make_row(model, value=value) for model, value in (("vae", 1.0), ("glow", 2.0), ("ddpm", 3.0))]
    rows[0] = with_protocol(rows[0], num_samples=7)
    (table,) = tables(tmp_path, *rows)
    assert table.ranked_by == "fd_domain"
    assert {line.model: line.rank for line in table.lines} == {"glow": "?", "ddpm": "?", "vae": "–"}


def test_imported_rows_do_not_decide_which_column_is_the_usual_one(tmp_path: Path) -> None:
    theirs = [with_protocol(make_row(name, imported=True), num_samples=7) for name in ("one", "two")]
    for row in theirs:  # one column in common, so that they are in this table
        rules = make_row()["protocol"]["metrics"]["bits_per_dim"]
        row["metrics"]["bits_per_dim"]["protocol"] = rules["id"]
    (table,) = tables(tmp_path, make_row("vae"), *theirs)
    cells = {line.model: line.cells["fd_domain"].value for line in table.lines}
    assert cells == {"vae": 1.0, "one": None, "two": None}


def test_a_row_lacks_some_columns_and_stays_in_the_table(tmp_path: Path) -> None:
    """One metric more or fewer, or another seed of sampling, makes no other table."""
    rows = [make_row("vae"), make_row("glow"), with_protocol(make_row("ddpm"), sample_seed=3)]
    del rows[1]["metrics"]["bits_per_dim"]
    (table,) = tables(tmp_path, *rows)
    assert names(table) == {"vae", "glow", "ddpm"}
    assert [column.key for column in table.columns if not column.is_cost] == ["fd_domain", "bits_per_dim"]


def test_an_evaluation_under_other_settings_makes_a_column_of_its_own(tmp_path: Path) -> None:
    row = with_protocol(make_row(value=1.0), num_samples=100)
    write_rows(tmp_path, [row])
    folder = tmp_path / "digits" / "vae" / "0" / "evaluations"
    folder.mkdir()
    for seed, value in ((0, 7.0), (1, 9.0)):
        again = row | {"metrics": {"fd_domain": row["metrics"]["fd_domain"] | {"value": value}}}
        write_sealed(folder / f"{seed}.json", with_protocol(again, sample_seed=seed, num_samples=5))
    runs, complaints = find_runs(tmp_path)
    (table,) = make_tables(runs)
    assert not complaints
    main, other = (column for column in table.columns if "fd domain" in column.title)
    cells = table.lines[0].cells
    assert (cells[main.key].value, cells[main.key].resampling) == (1.0, None)
    assert (cells[other.key].value, cells[other.key].resampling.value) == (7.0, 8.0)
    assert other.title.endswith("[num_samples 5, not 100]")


def test_a_conditional_metric_under_two_protocols(tmp_path: Path) -> None:
    rows = [make_row("vae"), make_row("made")]
    for row in rows:
        row["metrics"]["bits_per_dim"]["given"] = "label"
    rows[1] = with_protocol(rows[1], num_test=5)
    (table,) = tables(tmp_path, *rows)
    titles = {column.title for column in table.columns}
    assert {"Bits/dim | label", "Bits/dim | label [num_test 5, not none]"} <= titles


def test_the_classifier_of_another_machine_does_not_split_the_table(tmp_path: Path) -> None:
    """Its digest differs by rounding, and is not in the protocol."""
    rows = [make_row(seed=seed) for seed in (0, 1)]
    for row, digest in zip(rows, ("aa", "bb"), strict=True):
        row["metrics"]["fd_domain"]["backbone"] = {"name": "domain-classifier-1", "weights": digest}
    (table,) = tables(tmp_path, *rows)
    assert [line.seeds for line in table.lines] == [[0, 1]]


def test_repeated_seeds_are_counted_beside_the_seeds(tmp_path: Path) -> None:
    days = [make_row(time=f"2026-01-0{day}T00:00:00", run=f"day{day}") for day in range(1, 5)]
    (table,) = tables(tmp_path, *days, make_row(seed=1))
    assert table.lines[0].num_seeds == "2 (re-run 3x)"
    assert "2 (re-run 3x)" in formats.markdown([table])
    assert len(table.repeated) == 3


def test_rows_of_another_version_are_named_and_left_out(tmp_path: Path) -> None:
    old = make_row("old") | {"schema_version": 1, "protocol": {"id": "p0"}}
    del old["line"]
    write_rows(tmp_path, [make_row(), old, old | {"model": "older"}])
    runs, complaints = find_runs(tmp_path)
    assert [run.model for run in runs] == ["vae"]
    (complaint,) = complaints
    assert complaint.startswith("2 rows of schema version 1, such as ") and "this genarena reads 5" in complaint
    (tmp_path / "only").mkdir()
    with pytest.raises(UserError, match="schema version 1"):
        find_runs(write_rows(tmp_path / "only", [old]))


def test_the_share_of_the_budget_at_which_weights_were_taken_is_a_column(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(selected={"by": "val/bits_per_dim", "share": 0.2}))
    assert table.column["selected_at"].title == "Selected at"
    assert table.lines[0].cells["selected_at"].text == "20"


def test_copies_of_a_run_under_other_seeds_are_one_seed(tmp_path: Path) -> None:
    """Also images made elsewhere that were scored three times."""
    trained = {"by": "last", "share": 1.0, "sha256": "aa"}
    rows = [make_row(seed=seed, selected=trained) for seed in (0, 2, 1)] + [make_row(seed=3)]
    rows += [
        make_row("made", seed=seed, imported=True, images={"given": 9, "scored": 9, "sha256": "b" * 64})
        for seed in (0, 1)
    ]
    rows += [make_row("gaussian", seed=seed, family="baseline", selected=trained) for seed in (0, 1)]  # learns no other
    (table,) = tables(tmp_path, *rows)
    assert {line.model: line.seeds for line in table.lines} == {"vae": [0, 3], "made": [0], "gaussian": [0, 1]}
    (line,) = (line for line in table.lines if line.model == "vae")
    assert (line.num_seeds, len(table.repeated)) == ("2 (seed 1 is the same run as 0, seed 2 is the same run as 0)", 3)
    assert "seed 2 is the same run as 0" in page.render([table], [])


def test_seeds_that_did_not_finish_are_counted(tmp_path: Path) -> None:
    """A model that fails where it is bad is known by its other seeds only."""
    rows = [make_row(seed=seed) for seed in (0, 1)] + [make_row(seed=2, status="failed", error="RuntimeError: no")]
    (table,) = tables(tmp_path, *rows)
    assert table.lines[0].num_seeds == "2 (1 unfinished)"
    assert "1 unfinished" in page.render([table], [])


def test_a_line_that_nobody_looked_through_for_copies_is_not_ranked(tmp_path: Path) -> None:
    ratio = {"value": 1.0, "n": 100}
    rows = [make_row(model, seed) for model in ("vae", "glow", "copier", "weak") for seed in (0, 1, 2)]
    for row in rows:
        if row["model"] != "copier":
            row["metrics"]["nearest_neighbour_ratio"] = ratio if row["seed"] else {"value": None, "reason": "too few"}
    rows[9:] = [with_protocol(row | {"protocol": {"version": 5, "metrics": {}}}, queries=1) for row in rows[9:]]
    rows[:9] = [with_protocol(row) for row in rows[:9]]
    for row in rows[9:]:
        known = rows[0]["protocol"]["metrics"]["fd_domain"]
        row["protocol"]["metrics"]["fd_domain"], row["metrics"]["fd_domain"]["protocol"] = known, known["id"]
    (table,) = tables(tmp_path, *rows)
    notes = {line.model: line.rank_note for line in table.lines if line.rank == "–"}
    assert set(notes) == {"copier", "weak"}
    assert "nearest_neighbour_ratio was not measured as for other lines" in notes["copier"]
    assert page.render([table], []).count('<p class="warning"><b class="badge alarm">unchecked</b>') == 2


def test_code_of_a_plugin_and_code_changed_after_the_run_are_said(tmp_path: Path) -> None:
    line = make_line("vae")
    line["settings"]["model._target_"] = "mine.models.vae.Better"
    row = make_row(line=line)
    write_rows(tmp_path, [row])
    folder = tmp_path / "digits" / "vae" / "0" / "evaluations"
    folder.mkdir()
    later = row | {"line": line | {"sources": {"genarena.models.vae": "1"}}, "metrics": {"kid": {"value": 1.0, "n": 9}}}
    write_sealed(folder / "later.json", with_protocol(later))
    (table,) = make_tables(find_runs(tmp_path)[0])
    for text in (page.render([table], []), formats.markdown([table]).replace("\\", "")):
        assert "its code is not genarena's: mine.models.vae.Better" in text.replace("&#39;", "'")
        assert "kid of seed 0 may be of samples of another version of the model" in text


def test_two_metrics_of_one_title_are_told_apart(tmp_path: Path) -> None:
    """One of them comes from a plugin."""
    row = make_row()
    row["metrics"] |= {name: {"value": 1.0, "n": 9, "title": "FD"} for name in ("fd_dinov2", "fake_fd")}
    (table,) = tables(tmp_path, row)
    assert {column.title for column in table.columns} >= {"FD [fd_dinov2]", "FD [fake_fd]", "Bits/dim"}
