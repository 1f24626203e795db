"""From the command line to the leaderboard, on small finished runs; what cannot be is one line, and writes nothing."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from genarena import config
from genarena.config import compose
from genarena.errors import UserError
from genarena.leaderboard import page, tasks
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.run import run
from genarena.runs import results
from genarena.runs.seals import digest, seal
from tests.run_folders import only_run

QUIET = ["budget=smoke", "metrics=[bits_per_dim]", "callbacks.progress=false", "callbacks.grid_size=1", "logger=none"]


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of gaussian, ddpm, uniform, and of gaussian on points of the plane."""
    folder = tmp_path_factory.mktemp("runs")
    for model, data, *more in (
        ("gaussian", "digits"),
        ("ddpm", "digits", "net.hidden_channels=8"),
        ("uniform", "digits"),
        ("gaussian", "toy2d"),
    ):
        run(compose([f"model={model}", f"data={data}", *more, *QUIET, f"runs_dir={folder}"]))
    return folder


def program(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["task.py", *arguments])
    runpy.run_path(str(config.SOURCE / "scripts" / "task.py"), run_name="__main__")


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_rows_pictures_and_the_table(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model, *algorithm in (("gaussian",), ("ddpm", "algorithm=mmps", "algorithm.num_steps=3")):
        program(
            monkeypatch,
            "task=denoise",
            f"run={only_run(runs_dir, model)}",
            "sigma=0.25,0.1",
            "num_images=60",
            "num_draws=3",
            *algorithm,
        )
    paths = sorted(only_run(runs_dir, "gaussian").glob("evaluations/restoration-denoise_*/result.json"))
    assert [path.parent.name[:-8] for path in paths] == ["restoration-denoise_0.1-", "restoration-denoise_0.25-"]
    row = results.read_row(paths[0])  # valid and sealed
    assert row["task"]["weights"] == digest(only_run(runs_dir, "gaussian") / "checkpoints" / "chosen.ckpt")
    algorithm = {key: row["task"]["algorithm"][key] for key in ("name", "exactness", "options")}
    assert algorithm == {"name": "closed_form", "exactness": "exact", "options": {}}
    assert list(row["task"]["lines"]) == ["mean", "draw"]
    assert list(row["task"]["lines"]["mean"]["metrics"])[:2] == ["psnr", "ssim"]
    assert row["task"]["floors"]["fill"]["metrics"]["psnr"]["n"] == 60
    assert Image.open(paths[0].parent / "restored.png").size[0] == 10 * 34 + 2  # digits are enlarged four times

    found_tables = tasks.make_task_tables(tasks.find_task_rows(runs_dir))
    assert [table.title for table in found_tables] == ["Denoising: denoise_0.1", "Denoising: denoise_0.25"]
    table = found_tables[0]
    assert {(line.name.split()[0], line.part, line.kind) for line in table.lines} >= {
        ("gaussian", "mean", "exact"),
        ("gaussian", "draw", "exact"),
        ("ddpm", "mean", "heuristic"),
        ("ddpm", "draw", "heuristic"),
        *((name, "", "floor") for name in ("fill", "gaussian_blur", "total_variation")),
    }
    values = [line.value("psnr").value for line in table.lines]
    assert values == sorted(values, reverse=True)
    found, broken = find_runs(runs_dir)
    assert broken == [] and not [run for run in found if "task" in run.row]  # not among the rows of samples
    html = page.render(make_tables(found), [], tasks=[table])
    assert html.count(table.anchor) >= 2 and "Rows from above: original, fill, closed_form" in html
    assert html.count("data:image/webp") >= 2
    markdown, rows = tasks.markdown([table]), tasks.comma_separated([table]).splitlines()
    assert "| gaussian | mean | closed\\_form | exact | 1 |" in markdown and len(rows) == 1 + len(table.lines)
    assert rows[0].startswith("task,data,protocol,budget,method,part,algorithm,kind,num_seeds,psnr,psnr_ci95")


def test_a_gaussian_beats_the_floors_and_repeats_itself(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = only_run(runs_dir, "gaussian")
    for name in ("one", "two"):
        program(monkeypatch, "task=denoise", f"run={run_folder}", f"out={tmp_path / name}", "sigma=0.25")
    one, two = (results.read_row(next((tmp_path / name).glob("*/result.json"))) for name in ("one", "two"))
    for row in (one, two):
        for line in (*row["task"]["lines"].values(), *row["task"]["floors"].values()):
            for record in line["metrics"].values():
                record.pop("seconds_per_image", None)
    assert one == two
    pictures = [next((tmp_path / name).glob("*/restored.png")).read_bytes() for name in ("one", "two")]
    assert pictures[0] == pictures[1]
    untrained = ("fill", "gaussian_blur", "total_variation")
    others = [one["task"]["floors"][name]["metrics"]["psnr"]["value"] for name in untrained]
    record = one["task"]["lines"]["mean"]["metrics"]["psnr"]
    assert record["value"] > max(others)


def test_a_row_about_other_weights_is_left_out(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = only_run(runs_dir, "gaussian")
    program(monkeypatch, "task=denoise", f"run={folder}", "sigma=0.3")
    path = max(folder.glob("evaluations/*/result.json"), key=lambda path: path.stat().st_mtime_ns)
    row = results.read_row(path)
    results.write_row(row | {"task": row["task"] | {"weights": "0" * 64}}, path)
    _, broken = find_runs(runs_dir)
    assert len(broken) == 1 and broken[0].endswith("score it again with scripts/task.py")
    assert path.parent not in [run.folder for run in tasks.find_task_rows(runs_dir)]
    path.write_text(json.dumps(row))  # not sealed
    assert "is damaged" in find_runs(runs_dir)[1][0]
    path.unlink()
    seal(path).unlink()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "task=denoise run={uniform}",
            "task=denoise: Uniform cannot do this task, which needs a model that Correlates or",
        ),
        (
            "task=denoise run={toy2d}",
            "task=denoise: needs images of integer levels, and the data of this run has shape (2,)",
        ),
        ("task=denose run={gaussian}", "task=denose: there is no such task; did you mean denoise?"),
        ("task=denoise run={gaussian} sigm=1", "sigm: there is no such option; did you mean sigma?"),
        (
            "task=denoise run={gaussian} sigma=-1",
            "task=denoise: sigma=-1: expected numbers above 0, at most 1, in units of [0, 1]",
        ),
        ("task=denoise run={gaussian} sigma=a,b", "sigma=a,b: expected a list, each of its values float"),
        ("task=denoise run={gaussian} num_images=0", "num_images=0: expected at least 1"),
        ("task=denoise run={gaussian} algorithm=one_step", "task=denoise: Gaussian cannot do this task"),
        ("task=inpaint run={gaussian} operator=centre", "operator=centre: expected center, half, random"),
        ("task=denoise run={gaussian} algorithm.steps=3", "algorithm.steps: name the algorithm too, algorithm=<name>"),
        ("task=denoise run={gaussian} algorithm=nope", "algorithm=nope: there is no such algorithm; available: "),
        ("task=denoise run={nowhere}", "{nowhere}: there is no run"),
        ("run={gaussian}", "task=... is missing"),
    ],
)
def test_what_cannot_be_is_one_line(
    given: str, said: str, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    places = {name: only_run(runs_dir, name) for name in ("gaussian", "uniform")}
    places |= {"toy2d": next(runs_dir.glob("toy2d/gaussian/*")), "nowhere": runs_dir / "nowhere"}
    before = files(runs_dir)
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, *given.format(**places).split())
    told = capsys.readouterr().err
    assert ended.value.code == 2 and len(told.splitlines()) == 1
    assert told.startswith(f"error: {said.format(**places)}"), told
    assert files(runs_dir) == before


def test_train_points_to_the_program() -> None:
    with pytest.raises(UserError, match=r"a task uses a finished run: python scripts/task.py"):
        config.check(["model=vae", "data=digits", "task=denoise"])
