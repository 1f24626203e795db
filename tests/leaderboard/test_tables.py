"""What may share a table, what a cell says, and the formats it leaves in."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from genarena.errors import UserError
from genarena.leaderboard import formats, latex, plots
from genarena.leaderboard.numbers import number, prefixed
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import budget_text, make_tables
from tests.leaderboard.rows import make_row, with_protocol, write_rows, write_sealed


def tables(tmp_path: Path, *rows: dict):
    return make_tables(find_runs(write_rows(tmp_path, list(rows)))[0])


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


def test_different_data_or_budget_never_share_a_table(tmp_path: Path) -> None:
    rows = [
        make_row(),
        make_row(data={"id": "mnist-0", "split": "test"}),
        make_row(budget={"name": "smoke", "minutes": None, "examples": 128}),
        make_row(budget={"name": "cpu_1min", "minutes": 1, "examples": None}),
    ]
    assert len(tables(tmp_path, *rows)) == 4


def test_overrides_make_another_line_and_a_repeated_seed_counts_once(tmp_path: Path) -> None:
    rows = [
        make_row(value=9.0),
        make_row(value=1.0, time="2026-01-02T00:00:00"),
        make_row(overrides=["model.latent_dim=2"], value=5.0),
    ]
    (table,) = tables(tmp_path, *rows)
    assert [line.name for line in table.lines] == ["vae", "vae model.latent_dim=2"]
    assert table.lines[0].cells["fd_domain"].value == 1.0  # the newest, not the best


def test_a_seed_without_a_value_leaves_the_cell_empty(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(seed=0), make_row(seed=1, value=None), make_row("glow", value=2.0))
    cells = {line.model: line.cells["fd_domain"] for line in table.lines}
    assert cells["vae"].value is None
    assert cells["vae"].reason == "no labels"
    assert [line.model for line in table.lines] == ["glow", "vae"]


def test_what_was_measured_apart_is_of_the_seeds_that_have_it(tmp_path: Path) -> None:
    rows = [make_row(seed=seed) for seed in (0, 1, 2)]
    for seed, value in ((0, 2.5), (2, 2.7)):
        rows[seed]["metrics"]["bits_on_disk"] = {"value": value, "n": 10, "likelihood": "exact"}
    (table,) = tables(tmp_path, *rows)
    cell = table.lines[0].cells["bits_on_disk"]
    assert cell.value == pytest.approx(2.6)
    assert cell.text == "=2.500, 2.700 (2 of 3 seeds)"
    assert [column.key for column in table.columns if column.key == "bits_on_disk"]
    assert formats.records([table])[0]["cells"]["bits_on_disk"]["num_seeds"] == 2


def test_a_metric_nobody_has_becomes_a_note(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(value=None))
    assert table.empty == {"fd_domain": "no labels"}
    assert "fd_domain" not in [column.key for column in table.columns]


def test_failed_runs_are_listed_not_ranked(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row(), make_row("glow", status="diverged", error="Diverged: at 3%", metrics={}))
    assert [line.model for line in table.lines] == ["vae"]
    assert [run.row["model"] for run in table.failed] == ["glow"]
    for text in (formats.markdown([table]), formats.as_json([table])):
        assert "Diverged: at 3%" in text
    assert "glow, seed 0: Diverged: at 3%" in str(formats.terminal(table).caption).splitlines()


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
        assert row["fd_domain_ci95_low"] == row["fd_domain_ci95_high"] == ""
    assert rows[1]["model"] == "'=cmd()"
    assert r"a\_b\&\textless{}|\textgreater{}\%" in latex.latex([table])
    assert r"a\_b&\<\|\>%" in formats.markdown([table])


def scored_again(tmp_path: Path, row: dict, sample_seed: int, value: float, **settings: Any) -> None:
    """What scripts/evaluate.py writes into `evaluations` of the run folder of the first row."""
    again = with_protocol(row | {"metrics": {"fd_domain": {"value": value, "n": 100}}}, sample_seed, **settings)
    folder = tmp_path / "digits" / row["model"] / "0" / "evaluations"
    folder.mkdir(exist_ok=True)
    write_sealed(folder / f"{sample_seed}-{value}.json", again)


def test_the_terminal_shows_what_ranks_and_why_a_line_has_no_rank(tmp_path: Path) -> None:
    kernel = {"kd_domain": {"value": 2.0, "n": 100, "higher_is_better": False, "title": "KD domain"}}
    rows = [make_row(model, seed=seed, metrics=kernel) for model in ("vae", "glow") for seed in range(2)]
    (table,) = tables(tmp_path, *rows)
    shown = formats.terminal(table)
    assert table.ranked_by == "kd_domain"
    assert [str(column.header) for column in shown.columns] == ["rank", "model", "KD domain ↓", "Training (s)"]
    assert str(shown.caption) == "glow, vae: not ranked: it takes 3 training seeds to tell models apart, here: 2"


def test_sampling_seeds_stand_apart(tmp_path: Path) -> None:
    row = with_protocol(make_row(value=1.0), num_samples=5)
    write_rows(tmp_path, [row])
    scored_again(tmp_path, row, 1, 2.0)
    scored_again(tmp_path, row, 2, 3.0)
    scored_again(tmp_path, row, 0, 50.0)  # the run's own sampling seed again
    scored_again(tmp_path, row, 3, 70.0, num_samples=7)
    scored_again(tmp_path, row | {"run": "another"}, 4, 50.0)
    scored_again(tmp_path, row | {"data": row["data"] | {"split": "val"}}, 5, 50.0)
    runs, complaints = find_runs(tmp_path)
    (table,) = make_tables(runs)
    cell = table.lines[0].cells["fd_domain"]
    assert (cell.value, cell.half_width) == (1.0, None)  # the row is what it was
    assert cell.resampling.value == 2.0
    assert math.isclose(cell.resampling.half_width, 4.302652729911275 / math.sqrt(3))  # t(2), s = 1
    assert table.lines[0].cells["bits_per_dim"].resampling is None
    assert len(complaints) == 2
    assert any("not an evaluation of this run but of another" in text for text in complaints)
    assert any("about the validation split" in text for text in complaints)
    assert "2.0 ± 2.5 over 3 sampling seeds" in formats.markdown([table])
    (line,) = csv.DictReader(io.StringIO(formats.comma_separated([table])))
    assert (line["fd_domain"], line["fd_domain_sampling"]) == ("1.0", "2.0")


def test_other_metrics_scored_afterwards_join_the_row(tmp_path: Path) -> None:
    """A curve over k is slow and asked for later."""
    row = make_row()
    write_rows(tmp_path, [row])
    folder = tmp_path / "digits" / "vae" / "0" / "evaluations"
    folder.mkdir()
    bounds = {"value": 3.0, "n": 16, "k": [1, 10], "nats": [4.0, 3.0], "likelihood": "lower_bound"}
    write_sealed(folder / "later.json", with_protocol(row | {"metrics": {"iw_bounds": bounds}}))
    runs, complaints = find_runs(tmp_path)
    (table,) = make_tables(runs)
    assert not complaints
    assert [cell.value for cell in (table.lines[0].cells["iw_bounds"], table.lines[0].cells["fd_domain"])] == [3.0, 1.0]
    assert "Likelihood bound against k" in [plot.title for plot in plots.of_table(table, {})["Trade-offs"]]


def test_one_row_with_weights_does_not_unrank_the_others(tmp_path: Path) -> None:
    rows = [make_row(model) for model in ("vae", "glow", "ddpm")]
    rows[2]["metrics"]["fid"] = {"value": 1.0, "n": 100}
    (table,) = tables(tmp_path, *rows)
    assert table.ranked_by == "fd_domain"
    assert set(ranks(table).values()) == {"?"}


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row(), make_row("broken", value=float("nan"))])
    runs, complaints = find_runs(tmp_path)
    assert [run.model for run in runs] == ["vae"]
    assert "NaN is no number" in complaints[0]


def ranks(table) -> dict[str, str]:
    return {line.model: line.rank for line in table.lines}


def test_a_model_that_diverged_is_not_ranked(tmp_path: Path) -> None:
    rows = [
        make_row("vae", 0, 1.0),
        make_row("vae", 1, status="diverged", error="Diverged: at 3%", metrics={}),
        make_row("glow", 0, 2.0),
        make_row("glow", 1, status="failed", error="interrupted", metrics={}),
        make_row("ebm", 0, 3.0, time="2026-01-02T00:00:00"),
        make_row("ebm", 0, status="diverged", error="Diverged: at 9%", metrics={}),
    ]
    (table,) = tables(tmp_path, *rows)
    assert ranks(table) == {"vae": "–", "glow": "?", "ebm": "?"}  # the ebm's seed was run again
    assert "seed 1: Diverged: at 3%" in table.lines[0].rank_note
    assert len(table.failed) == 3


def imported(**changes) -> dict:
    """What scripts/score.py writes: no budget, no seed, no cost."""
    row = make_row("Their GAN", value=0.5, imported=True, **changes)
    return {
        key: row[key]
        for key in row
        if key not in ("budget", "seed", "overrides", "cost", "commit", "likelihood", "versions", "run", "time")
    }


def test_imported_rows_are_marked_and_join_their_protocol(tmp_path: Path) -> None:
    other = {"name": "cpu_1min", "minutes": 1, "examples": None}
    found = tables(tmp_path, make_row(value=1.0), make_row("glow", value=2.0, budget=other), imported())
    assert [[line.name for line in table.lines] for table in found] == [
        ["Their GAN (imported)", "glow"],
        ["Their GAN (imported)", "vae"],
    ]
    for table in found:
        assert table.lines[0].rank == "imported"
        assert table.lines[1].rank == "?"
    for text in (formats.markdown(found), latex.latex(found)):
        assert "Their GAN (imported)" in text
    assert [row["imported"] for row in formats.records(found)] == [True, False, True, False]


def test_imported_rows_of_another_protocol_stay_apart(tmp_path: Path) -> None:
    theirs = with_protocol(imported(), num_samples=7)
    one, two = tables(tmp_path, make_row(value=1.0), theirs)
    assert {tuple(line.model for line in table.lines) for table in (one, two)} == {("vae",), ("Their GAN",)}


def test_tables_say_why_they_stand_apart(tmp_path: Path) -> None:
    longer = {"name": "long", "minutes": None, "examples": 128}
    found = tables(tmp_path, make_row(budget=longer), make_row(), make_row(data={"id": "mnist-0", "split": "test"}))
    assert [table.apart.partition("agree: ")[2] for table in found] == [
        "",
        "the budget (long: 128 examples there).",
        "the data (digits-0 there).",
    ]
    assert "the data (digits-0 there)" in formats.markdown(found)


def test_an_estimate_is_not_ranked_against_bounds(tmp_path: Path) -> None:
    rows = [make_row("vae"), make_row("ebm")]
    for row in rows:
        del row["metrics"]["fd_domain"]
    rows[1]["metrics"]["bits_per_dim"] |= {"value": 0.1, "likelihood": "estimate"}
    (table,) = tables(tmp_path, *rows)
    assert [(line.model, line.rank) for line in table.lines] == [("ebm", "–"), ("vae", "?")]
    assert "err towards too good" in table.lines[0].rank_note


def test_anchors_are_stable_and_differ(tmp_path: Path) -> None:
    (table,) = tables(tmp_path, make_row("a b"), make_row("a-b"), make_row("a<b"))
    anchors = {line.model: line.runs[0].anchor for line in table.lines}
    assert len(set(anchors.values())) == 3
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for text in anchors.values())
    (tmp_path / "again").mkdir()
    (again,) = tables(tmp_path / "again", make_row("a-b"), make_row("new"))
    assert again.lines[0].runs[0].anchor == anchors["a-b"]


def test_costs_have_prefixes() -> None:
    shown = [prefixed(value) for value in (0.0, 1795464, 0.000096, 999_999, 12.0, 3.2e15, 0.5, 999.6)]
    assert shown == ["0", "1.8 M", "9.6e-05", "1 M", "12", "3.2 P", "0.5", "1 k"]


def test_numbers_are_readable() -> None:
    shown = [number(value) for value in (0.0, 1234567.0, 0.12345, 12.3456, 0.00001234, 2.0, 123.456)]
    assert shown == ["0", "1,234,567", "0.1235", "12.35", "1.23e-05", "2.000", "123.5"]


def test_offline_wandb_gets_the_tables_and_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import wandb

    from genarena import config
    from genarena.tracking import wandb_run

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staging"))
    (table,) = tables(tmp_path / "runs", make_row(), make_row("glow", value=2.0))
    file = tmp_path / "out" / "leaderboard.md"
    file.parent.mkdir()
    file.write_text(formats.markdown([table]))
    rows = {table.anchor: [formats.flat(record) for record in formats.records([table])]}
    monkeypatch.delenv("WANDB_MODE")
    settings = OmegaConf.to_container(OmegaConf.load(config.CONF / "logger" / "wandb.yaml"), resolve=True)
    wandb_run.log_leaderboard(settings, rows, [file])
    (run,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    assert capsys.readouterr().out == f"wandb: offline (no API key)\nwandb: to upload: wandb sync {run}\n"
    (logged,) = run.glob("files/media/table/*.table.json")
    content = json.loads(logged.read_text())
    first = dict(zip(content["columns"], content["data"][0], strict=True))
    assert (first["model"], first["rank"], first["fd_domain"]) == ("vae", "?", 1.0)
    wandb.teardown()  # as at the end of the process: the log is flushed
    assert b"leaderboard.md" in next(run.glob("*.wandb")).read_bytes()  # the artifact's manifest


def test_a_conditional_likelihood_has_a_column_of_its_own(tmp_path: Path) -> None:
    """log p(x | y) is not log p(x): they share no column, and no rank."""
    plain, given = make_row("vae", value=None), make_row("made", value=None, overrides=["data.condition=label"])
    given["metrics"]["bits_per_dim"]["given"] = "label"
    (table,) = tables(tmp_path, plain, given)
    assert table.ranked_by == "bits_per_dim"
    titles = {column.key: column.title for column in table.columns}
    assert titles["bits_per_dim"] == "Bits/dim" and titles["bits_per_dim_given_label"] == "Bits/dim | label"
    lines = {line.model: line for line in table.lines}
    assert lines["made"].cells["bits_per_dim"].value is None and lines["made"].rank == "–"
    assert lines["made"].cells["bits_per_dim_given_label"].value == 2.0
    assert lines["vae"].cells["bits_per_dim_given_label"].value is None and lines["vae"].rank == "?"


@pytest.mark.parametrize(("flops", "text"), [(2e12, "2 TFLOP"), (3.5e15, "3.5 PFLOP"), (12, "12 FLOP")])
def test_a_budget_of_operations_is_read_at_a_glance(flops: float, text: str) -> None:
    assert budget_text({"name": "b", "minutes": None, "examples": None, "flops": flops}) == f"b: {text}"


def test_bits_of_sound_are_those_of_a_sample_given_its_mel(tmp_path: Path) -> None:
    """One metric under another name: a dimension of sound is a sample of 16 bits."""
    rows = []
    for shape in ([1, 8192], [1, 28, 28]):
        row = make_row(data={"id": f"set-{len(shape)}", "split": "test", "splits": {"test": 9}, "shape": shape})
        row["metrics"]["bits_per_dim"] |= {"given": "mel", "title": "bits/dim", "unit": "bits/dim"}
        rows.append(with_protocol(row))
    sound, pictures = tables(tmp_path, *rows)
    assert sound.column["bits_per_dim_given_mel"].title == "bits/sample | mel"
    assert sound.column["bits_per_dim_given_mel"].unit == "bits/sample"
    assert pictures.column["bits_per_dim_given_mel"].title == "bits/dim | mel"


def test_sound_is_ranked_by_mr_stft_never_by_mels_and_references_of_sound_are_none_of_its_models(
    tmp_path: Path,
) -> None:
    rows = []
    for model, family, far in (
        ("waveglow", "flow", 1.5),
        ("mu_law", "baseline", 0.6),
        ("griffin_lim", "baseline", 1.8),
    ):
        bits = {"value": 9.0, "n": 9, "likelihood": "lower_bound", "higher_is_better": False, "given": "mel"}
        stft = {"value": far, "n": 9, "higher_is_better": False, "range": [0.0, None]}
        mels = {"value": 0.1 if model == "griffin_lim" else 0.2, "n": 9, "higher_is_better": None, "range": [0.0, None]}
        metrics = {"mr_stft": stft, "log_mel_l1": mels} | ({"bits_per_dim": bits} if family == "flow" else {})
        rows += [make_row(model, seed, family=family, metrics=metrics) for seed in range(3)]
    runs = find_runs(write_rows(tmp_path, rows))[0]
    (table,) = make_tables(runs)
    assert table.ranked_by == "mr_stft"
    assert {line.model: line.rank for line in table.lines} == {
        "mu_law": "ceiling",
        "waveglow": "1",
        "griffin_lim": "floor",
    }
    with pytest.raises(UserError, match="rank_by=log_mel_l1: of this metric neither more nor less is better"):
        make_tables(runs, "log_mel_l1")
