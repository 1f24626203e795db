"""From the command line to the leaderboard, on small finished runs; what cannot be is one line, and writes nothing."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from genarena import config
from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.jobs import launcher
from genarena.jobs.job import Job
from genarena.leaderboard import page, task_formats, tasks
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.run import run
from genarena.runs import results
from genarena.runs.folder import RunFolder
from genarena.runs.seals import digest, seal
from genarena.tasks import task_run
from genarena.tasks.augment import Augment
from genarena.tasks.composition import Composition
from genarena.tasks.representation import Representation
from tests.instant_jobs import Instant
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
    """Raises SystemExit unless the program succeeds."""
    monkeypatch.setattr(sys, "argv", ["task.py", *arguments])
    try:
        runpy.run_path(str(config.SOURCE / "scripts" / "task.py"), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


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
    assert [table.title for table in found_tables] == ["Restoration: denoise_0.1", "Restoration: denoise_0.25"]
    table = found_tables[0]
    assert {(line.name.split()[0], line.part, line.kind) for line in table.lines} >= {
        ("gaussian", "mean", "exact"),
        ("gaussian", "draw", "exact"),
        ("ddpm", "mean", "heuristic"),
        ("ddpm", "draw", "heuristic"),
        *((name, "", "floor") for name in ("fill", "gaussian_blur", "total_variation")),
    }
    values = [line.value("psnr").value for line in table.lines]
    assert values.pop() is None and table.lines[-1].name == "test images"  # an infinite PSNR
    assert values == sorted(values, reverse=True)
    columns = [table.columns[name] for name in ("chi2", "mse_ratio", "crps")]
    assert [(each.title, each.target) for each in columns] == [("chi2", 1.0), ("MSE ratio", 1.5), ("CRPS", None)]
    found, broken = find_runs(runs_dir)
    assert broken == [] and not [run for run in found if "task" in run.row]  # not among the rows of samples
    html = page.render(make_tables(found), [], tasks=[table])
    assert html.count(table.anchor) >= 2 and "<li>original</li><li>observed</li><li>draw 1</li>" in html
    assert html.count("data:image/webp") >= 2
    markdown, rows = task_formats.markdown([table]), task_formats.comma_separated([table]).splitlines()
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
            line["metrics"].pop("seconds", None)
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
        ("task=denoise run={gaussian} agan=true", "agan: there is no such option; did you mean again?"),
        ("task=denoise run={gaussian} data_rot=x", "data_rot: there is no such option; did you mean data_root?"),
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
        (
            "task=edit run={gaussian} attribute=thicknes",
            "task=edit: attribute=thicknes: there is no such attribute; did you",
        ),
        (
            "task=edit run={gaussian}",
            "task=edit: Gaussian cannot do this task, which needs a model that Decodes or Denoises",
        ),
        ("task=sdedit run={gaussian} guide={nowhere}", "task=sdedit: guide={nowhere}: No such file or directory"),
        ("task=denoise run={nowhere}", "{nowhere}: there is no run"),
        ("run={gaussian}", "task=... is missing"),
        ("task=denoise", "run=... is missing, or data=... and model=..."),
        ("task=denoise run={gaussian} budget=smoke", "budget: there is no such option"),
        ("task=denoise data=digits run={gaussian}", "data=digits: goes with data= and model=, and without run="),
        ("task=denoise data=digits model=gaussian sigm=0.1", "sigm: there is no such option; did you mean sigma?"),
        ("task=denoise data=digits model=gaussian budgt=smoke", "budgt: there is no such option; did you mean budget"),
        ("task=denoise run={gaussian} algorithm=mmps,one_step", "algorithm=mmps,one_step: several values are for"),
        ("task=denoise,inpaint run={gaussian}", "task=denoise,inpaint: several values are for combinations"),
        ("task=denoise run={gaussian} again=maybe", "again=maybe: expected bool"),
        ("task=denoise run={unfinished}", "the run is not finished: it has no row (result.json)"),
        ("task=denoise run={ddpm} sigma=1.5", "sigma=1.5: expected numbers above 0, at most 1, in units of [0, 1]"),
        ("task=restore run={ddpm} degradations=[sr2] algorithm=repaint", "algorithm=repaint: sr2: needs a mask"),
        ("task=restore run={ddpm} lpips_alex=nowhere.pth", "nowhere.pth: there is no such file"),
        ("task=inpaint run={ddpm} algorithm=sdedit", "algorithm=sdedit: does not solve this task; available: "),
    ],
)
def test_what_cannot_be_is_one_line(
    given: str,
    said: str,
    runs_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Exit code 2, before a model is loaded, and nothing is written."""
    places = {name: only_run(runs_dir, name) for name in ("gaussian", "uniform", "ddpm")}
    places |= {"toy2d": next(runs_dir.glob("toy2d/gaussian/*")), "nowhere": runs_dir / "nowhere"}
    places["unfinished"] = unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_bytes((places["gaussian"] / "config.yaml").read_bytes())
    monkeypatch.setattr(RunFolder, "rebuild", lambda self, device: pytest.fail("a model is loaded"))
    before = files(runs_dir)
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, *given.format(**places).split())
    told = capsys.readouterr().err
    assert ended.value.code == 2 and len(told.splitlines()) == 1
    assert told.startswith("error: ") and said.format(**places) in told, told
    assert files(runs_dir) == before


FEW = ("num_images=6", "num_draws=2", "num_val=5")


def test_what_is_there_is_not_computed_again(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    line = ("task=denoise", f"run={only_run(runs_dir, 'gaussian')}", f"out={tmp_path}", *FEW)
    program(monkeypatch, *line, "sigma=0.4")
    (path,) = tmp_path.glob("*/result.json")
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    program(monkeypatch, *line, "sigma=0.4,0.5")  # one of the two is there
    said = capsys.readouterr().out
    assert said.count("there already: gaussian, Restoration: denoise_0.4, closed_form") == 1
    assert said.count("row: ") == 1 and len(list(tmp_path.glob("*/result.json"))) == 2
    assert path.stat().st_mtime_ns == written
    row = results.read_row(path)
    for change, said in (({"weights": "0" * 64}, "row: "), ({}, "there already: ")):
        results.write_row(row | {"task": row["task"] | change}, path)
        program(monkeypatch, *line, "sigma=0.4")
        assert said in capsys.readouterr().out
    program(monkeypatch, *line, "sigma=0.4", "again=true")
    assert "there already" not in capsys.readouterr().out
    program(monkeypatch, *line, "sigma=0.4", "num_draws=3")  # another protocol
    assert "there already" not in capsys.readouterr().out


@pytest.mark.parametrize("condition", ["null", "caption"])
def test_a_set_that_knows_its_labels_is_asked_for_them(condition: str) -> None:
    """Their number is in no YAML: it depends on an option of the set."""
    cfg = compose(["data=scenes", f"data.condition={condition}", "model=gaussian"])
    node = OmegaConf.to_container(cfg.data, resolve=True)
    assert node["spec"].get("num_classes") is None
    for task in (Representation(), Augment()):
        task_run._check(task, node)
        with pytest.raises(ValueError, match="the data of this run has none"):
            task.check(build(node["spec"], "data.spec"))
    with pytest.raises(ValueError, match="trained without a condition"):
        task_run._check(Composition(), node | {"spec": node["spec"] | {"condition": None}})


def test_after_a_run_that_fails_the_others_go_on(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, "task=denoise", f"run={runs_dir / 'digits'}", f"out={tmp_path}", "sigma=0.4", *FEW)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert len(said.err.splitlines()) == 1
    assert "uniform" in said.err and "Uniform cannot do this task, which needs a model that Correlates or" in said.err
    assert said.out.endswith("1 failed, 2 rows are there\n")
    assert sorted(path.parents[1].name.partition("-")[0] for path in tmp_path.glob("*/*/result.json")) == [
        "ddpm",
        "gaussian",
    ]


def test_combinations(runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["-m", "task=inpaint", f"run={only_run(runs_dir, 'ddpm')}", f"out={tmp_path}", *FEW]
    program(monkeypatch, *line, "operator=center,half", "algorithm=mmps", "algorithm.num_steps=2,3")
    rows = [results.read_row(path)["task"] for path in tmp_path.glob("*/result.json")]
    assert sorted((row["case"], row["algorithm"]["options"]["num_steps"]) for row in rows) == [
        *(("inpaint_center", steps) for steps in (2, 3)),
        *(("inpaint_half", steps) for steps in (2, 3)),
    ]


def test_models_are_refused_before_their_weights_are_loaded(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("genarena.runs.folder.load_weights", lambda *_: pytest.fail("loaded"))
    with pytest.raises(SystemExit):
        program(monkeypatch, "task=denoise", f"run={only_run(runs_dir, 'uniform')}")
    assert "Uniform cannot do this task" in capsys.readouterr().err


def test_lines_are_trained_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    started: list[list[str]] = []

    class InThisProcess(Instant):
        def start(self, job: Job, arguments: list[str], slot: int) -> Instant.Handle:
            started.append(arguments)
            return super().start(job, arguments, slot)

    monkeypatch.setattr(launcher, "make", lambda *_: InThisProcess(lambda job: run(compose(list(job.overrides))) and 0))
    monkeypatch.setattr(launcher, "POLL", 0.0)
    monkeypatch.setattr("genarena.tasks.denoise.Denoise.training_options", lambda self: ("data.num_val=60", "seed=5"))
    line = ["task=denoise", "data=digits", "model=gaussian,uniform", "sigma=0.4", "task.seed=3", "seed=1", *FEW]
    for again in (False, True):
        with pytest.raises(SystemExit) as ended:
            program(monkeypatch, *line, *QUIET, f"runs_dir={tmp_path}")
        said = capsys.readouterr()
        assert ended.value.code == 2 and said.err.startswith("error: model=uniform: task=denoise: Uniform cannot")
        assert ("there already: gaussian" in said.out) == again
    (trained,) = started  # once, and no model that cannot do the task
    assert {"model=gaussian", "seed=1", "data.num_val=60"} <= set(trained) and "seed=5" not in trained
    row = results.read_row(next(only_run(tmp_path, "gaussian").glob("evaluations/*/result.json")))
    assert row["seed"] == 1 and row["task"]["protocol"]["settings"]["seed"] == 3


def test_train_points_to_the_program() -> None:
    with pytest.raises(UserError, match=r"a task uses a finished run: python scripts/task.py"):
        config.check(["model=vae", "data=digits", "task=denoise"])
