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
    for model in ("gaussian", "ddpm"):
        program(
            monkeypatch, "task=denoise", f"run={only_run(runs_dir, model)}", "task.sigma=0.25,0.1", "task.num_images=60"
        )
    (path,) = only_run(runs_dir, "gaussian").glob("evaluations/denoise-*/result.json")
    row = results.read_row(path)  # valid and sealed
    assert row["task"]["weights"] == digest(only_run(runs_dir, "gaussian") / "checkpoints" / "chosen.ckpt")
    assert row["task"]["algorithm"] == {"name": "closed_form", "exactness": "exact", "nfe": 0}
    assert list(row["metrics"]) == ["psnr_0.1", "ssim_0.1", "psnr_0.25", "ssim_0.25"]
    assert row["task"]["classical"]["noisy"]["metrics"]["psnr_0.1"]["n"] == 60
    for sigma in ("0.1", "0.25"):
        picture = Image.open(path.parent / f"sigma-{sigma}.png")
        assert picture.size == (10 * 34 + 2, 5 * 34 + 2)  # digits are enlarged four times

    (table,) = tasks.make_task_tables(tasks.find_task_rows(runs_dir))
    assert {(line.name.split()[0], line.kind) for line in table.lines} == {
        ("gaussian", "exact"),
        ("ddpm", "asymptotic"),
        *((name, "classical") for name in ("noisy", "gaussian_blur", "total_variation")),
    }
    values = [line.value("psnr_0.1").value for line in table.lines]
    assert values == sorted(values, reverse=True)
    found, broken = find_runs(runs_dir)
    assert broken == [] and not [run for run in found if "task" in run.row]  # not among the rows of samples
    html = page.render(make_tables(found), [], tasks=[table])
    assert html.count(table.anchor) >= 2 and "Rows from above: original, noisy, gaussian_blur" in html
    assert html.count("data:image/webp") >= 4
    markdown, rows = tasks.markdown([table]), tasks.comma_separated([table]).splitlines()
    assert "| gaussian | closed\\_form | exact | 1 |" in markdown and len(rows) == 6
    assert rows[0].startswith("task,data,protocol,budget,method,algorithm,kind,num_seeds,psnr_0.1,psnr_0.1_ci95")


def test_a_gaussian_beats_the_classical_methods_and_repeats_itself(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = only_run(runs_dir, "gaussian")
    for name in ("one", "two"):
        program(monkeypatch, "task=denoise", f"run={run_folder}", f"out={tmp_path / name}", "task.sigma=0.25")
    one, two = (results.read_row(tmp_path / name / "result.json") for name in ("one", "two"))
    for row in (one, two):
        for metrics in (row["metrics"], *(made["metrics"] for made in row["task"]["classical"].values())):
            for record in metrics.values():
                record.pop("seconds_per_image")
    assert one == two
    assert (tmp_path / "one" / "sigma-0.25.png").read_bytes() == (tmp_path / "two" / "sigma-0.25.png").read_bytes()
    others = [made["metrics"]["psnr_0.25"]["value"] for made in one["task"]["classical"].values()]
    record = one["metrics"]["psnr_0.25"]
    assert record["margin"]["value"] == pytest.approx(record["value"] - max(others))
    assert record["margin"]["value"] > 3 * record["margin"]["ci95_half_width"]


def test_a_row_about_other_weights_is_left_out(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = only_run(runs_dir, "gaussian")
    program(monkeypatch, "task=denoise", f"run={folder}", "task.sigma=0.3")
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
        ("task=denoise run={gaussian} task.sigm=1", "task.sigm: there is no such option; did you mean sigma?"),
        ("task=denoise run={gaussian} task.sigma=-1", "task.sigma=-1: expected numbers above 0, at most 10"),
        ("task=denoise run={gaussian} task.sigma=a,b", "task.sigma=a,b: expected a list, each of its values float"),
        ("task=denoise run={gaussian} task.num_images=0", "task.num_images=0: expected at least 1"),
        ("task=denoise run={gaussian} task.algorithm=one_step", "task=denoise: Gaussian cannot do this task"),
        (
            "task=denoise run={gaussian} task.algorithm=dps",
            "task=denoise: task.algorithm=dps: there is no such algorithm",
        ),
        ("task=denoise run={nowhere}", "{nowhere}: there is no run"),
        ("task=denoise run={gaussian} sigma=1", "sigma=1: expected one of task=..."),
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
