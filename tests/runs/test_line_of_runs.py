"""Runs of one command line, `model=vae`, that are not the same experiment are lines of their own on the page."""

import shutil
from pathlib import Path

import pytest

from genarena import config
from genarena.errors import UserError
from genarena.evaluation import rescoring
from genarena.leaderboard import formats
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.run import run
from genarena.runs import checkpoint, evaluations, provenance, results
from genarena.runs.folder import RunFolder

METRICS = "metrics=[bits_per_dim,nearest_neighbour_ratio]"
USUAL = [
    "model=vae",
    "data=digits",
    "budget=smoke",
    "budget.examples=128",
    "logger=none",
    "callbacks.progress=false",
    METRICS,
]


def finished(runs_dir: Path, *options: str) -> dict:
    return run(config.compose([*USUAL, f"runs_dir={runs_dir}", *options]))


def test_yaml_precision_and_source_make_lines_and_seeds_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    runs_dir = tmp_path / "runs"
    rows = [finished(runs_dir), finished(runs_dir, "seed=1")]
    other = "bf16-mixed" if rows[0]["precision"] == "32-true" else "32-true"  # than this machine takes by itself
    rows.append(finished(runs_dir, f"trainer.precision={other}"))
    with monkeypatch.context() as patch:
        shutil.copytree(config.CONF, tmp_path / "conf")
        edited = tmp_path / "conf" / "model" / "vae.yaml"
        edited.write_text(edited.read_text().replace("latent_dim: 32", "latent_dim: 2"))
        patch.setattr(config, "CONF", tmp_path / "conf")
        rows.append(finished(runs_dir))
    with monkeypatch.context() as patch:
        module, genuine = "genarena.models.vae.networks", provenance._file
        copied = tmp_path / "networks.py"
        copied.write_bytes(genuine(module).read_bytes() + b"\nNEW = 1\n")
        patch.setattr(provenance, "_file", lambda name: copied if name == module else genuine(name))
        rows.append(finished(runs_dir))
    assert [row["overrides"] for row in rows[3:]] == [[], []]
    (table,) = make_tables(find_runs(runs_dir)[0])
    assert sorted(line.seeds for line in table.lines) == [[0], [0], [0], [0, 1]]
    texts = {line.runs[0].row["run"]: line.apart for line in table.lines}
    assert "model.latent_dim 2" in texts[rows[3]["run"]]
    assert "source of models/vae/networks.py" in texts[rows[4]["run"]]
    shown = formats.markdown([table]).replace("\\", "")
    assert "model.latent_dim 32" in shown and f"trainer.precision={other}" in shown
    assert len({column.key for column in table.columns if not column.is_cost}) == 2  # one column each: same protocols
    for row, is_edited in ((rows[0], False), (rows[4], True)):  # whose source was another than that of today
        rescoring.rescore(next(runs_dir.glob(f"*/*/{row['run']}")), ["bits_per_dim"])
        assert ("genarena.models.vae.networks changed after training" in capsys.readouterr().err) == is_edited


def test_another_sampler_for_a_finished_run_is_a_line_of_its_own(tmp_path: Path) -> None:
    row = finished(tmp_path, "metrics=[nearest_neighbour_ratio]", "budget.num_samples=20")
    folder = next(tmp_path.glob("digits/vae/*"))
    again = rescoring.rescore(folder, sampler={"sampler.temperature": 0.5})
    place = folder / evaluations.FOLDER / again["evaluation"] / "result.json"
    place.parent.mkdir(parents=True)
    results.write_row(again, place)
    assert again["line"]["id"] != row["line"]["id"]
    assert again["line"]["settings"]["sampler.temperature"] == 0.5
    (table,) = make_tables(find_runs(tmp_path)[0])
    assert sorted(line.name for line in table.lines) == ["vae", "vae sampler.temperature=0.5"]
    assert {column.key for column in table.columns if not column.is_cost} == {"nearest_neighbour_ratio"}
    results.write_row(again | {"metrics": {}}, folder / evaluations.FOLDER / "later.json")
    runs, complaints = find_runs(tmp_path)
    assert not complaints and [len(run.later) for run in runs] == [0, 1], "it joins the line of its sampler"
    shutil.rmtree(place.parent)
    results.write_row(again, folder / evaluations.FOLDER / "later.json")
    (again_table,) = make_tables(find_runs(tmp_path)[0])
    assert sorted(line.name for line in again_table.lines) == ["vae", "vae sampler.temperature=0.5"]
    own = folder / evaluations.FOLDER / "more"  # metrics of the run's own line, in a folder
    own.mkdir()
    results.write_row(row, own / "result.json")
    assert [len(run.later) for run in find_runs(tmp_path)[0]] == [1, 0]
    another = again | {"line": again["line"] | {"settings": {"model._target_": "x"}}}
    results.write_row({name: another[name] for name in another if name != "evaluation"}, own / "result.json")
    assert ["about another line than its run" in text for text in find_runs(tmp_path)[1]] == [True]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("evaluations/ddim.json", True),
        ("evaluations/ddim/result.json", True),
        ("../elsewhere.json", True),
        ("result.json", False),  # the row of the run itself
        ("again.json", False),
        ("evaluations/ddim", False),
        ("evaluations/ddim/again.json", False),
        ("evaluations/ddim/more/result.json", False),
    ],
)
def test_a_row_in_the_folder_of_a_run_lies_where_the_page_looks(tmp_path: Path, place: str, found: bool) -> None:
    if found:
        evaluations.check_place(tmp_path / "run", tmp_path / "run" / place)
        return
    with pytest.raises(UserError, match=rf"^out=.*{place}: in the folder of the run the page finds evaluations/<name>"):
        evaluations.check_place(tmp_path / "run", tmp_path / "run" / place)


def test_a_folder_that_was_changed_after_its_run_is_not_scored_again(tmp_path: Path) -> None:
    row = finished(tmp_path, "metrics=[nearest_neighbour_ratio]", "budget.num_samples=20")
    folder = RunFolder.open(next(tmp_path.glob("digits/vae/*")))
    assert rescoring.rescore(folder.path)["line"] == row["line"]
    trained, written = folder.config.read_text(), checkpoint.load(folder.chosen)
    folder.config.write_text(trained.replace("temperature: 1.0", "temperature: 0.5"))
    with pytest.raises(UserError, match="temperature is 0.5, and was 1"):
        rescoring.rescore(folder.path)
    folder.config.write_text(trained)
    weights = {name: value + 1 for name, value in written["state_dict"].items()}
    checkpoint.save({"state_dict": weights}, folder.chosen)
    with pytest.raises(UserError, match="other weights than those that the row"):
        rescoring.rescore(folder.path)
