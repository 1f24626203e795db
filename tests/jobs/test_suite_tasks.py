"""Tasks of a suite: which runs they need, when they start, what is left out, and a small suite from end to end."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from genarena import config
from genarena.errors import UserError
from genarena.jobs import launcher, suite_tasks
from genarena.jobs.job import Job
from genarena.tasks.denoise import Denoise
from tests.instant_jobs import Instant, stored_run

GIVEN = ["model=gaussian,uniform,made", "seed=0", "budget=smoke", "data=digits"]


def words(plan: suite_tasks.Plan) -> dict[str, list[str]]:
    return {job.cfg["choices"]["model"]: [" ".join(each) for each in tasks] for job, tasks in plan.tasks.items()}


def test_a_model_that_cannot_is_named_once_and_still_trained() -> None:
    plan = suite_tasks.plan("digits", [*GIVEN[:1], "seed=0,1", *GIVEN[2:]], ["inpaint operator=half", "augment"])
    assert len(plan.jobs) == 6 and plan.num_tasks == 10
    assert words(plan) == {
        "gaussian": ["task=inpaint operator=half", "task=augment"],
        "uniform": ["task=augment"],
        "made": ["task=inpaint operator=half", "task=augment"],
    }
    assert [line.partition(", which")[0] for line in plan.refused] == [
        "uniform: task=inpaint: Uniform cannot do this task",
    ]


def test_a_model_without_any_score_of_anomalies_has_no_task_on_its_run() -> None:
    lines = ["anomaly", "anomaly against=noise", "anomaly algorithm=scores algorithm.scores=energy"]
    plan = suite_tasks.plan("anomaly", ["model=gaussian,memoriser,heldout,made", *GIVEN[1:]], lines)
    assert words(plan) == {
        "gaussian": [f"task={line}" for line in lines],
        "memoriser": [],
        "heldout": [],
        "made": ["task=anomaly", "task=anomaly against=noise"],
    }
    needed = "has a likelihood or Infers or Encodes and Decodes or Denoises or Differentiates or Discriminates or Emits"
    assert [line for line in plan.refused if line.startswith("memoriser")] == [
        f"memoriser: task=anomaly: Memoriser cannot do this task, which needs a model that {needed}",
        "memoriser: task=anomaly: Memoriser cannot do this task, which needs a model that Differentiates",
    ]
    assert [line.partition(":")[0] for line in plan.refused].count("made") == 1


def test_runs_are_trained_with_the_options_of_their_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denoise, "training_options", lambda self: ("data.num_val=60", "budget=paper"))
    plan = suite_tasks.plan("digits", ["model=gaussian", *GIVEN[1:]], ["inpaint", "denoise", "denoise sigma=0.3"])
    plain, other = plan.jobs
    assert [plain.cfg["data"]["num_val"], other.cfg["data"]["num_val"]] == [64, 60]  # of budget=smoke, and of the task
    assert other.cfg["choices"]["budget"] == "smoke"  # what is given comes first
    assert [len(plan.tasks[job]) for job in (plain, other)] == [1, 2]
    plan = suite_tasks.plan("digits", ["model=gaussian", "data.num_val=50", *GIVEN[1:]], ["inpaint", "denoise"])
    assert len(plan.jobs) == 1 and plan.num_tasks == 2  # the same run serves both


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("inpant", "did you mean inpaint"),
        ("inpaint operator=centre", "operator=centre: expected center"),
        ("denoise sigma=2.0", "sigma=2.0: expected numbers above 0, at most 1"),
        ("inpaint algorithm=mps", "did you mean mmps"),
        ("inpaint 'x", "expected <task>"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(line: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        suite_tasks.plan("digits", GIVEN, [line])
    assert said in str(told.value)


def test_a_model_that_cannot_learn_from_rows_with_holes_is_not_trained_for_them() -> None:
    given = ["seed=0", "budget=smoke", "data=diabetes"]
    plan = suite_tasks.plan("imputation", ["model=gaussian,uniform", *given], ["impute"])
    assert words(plan) == {"gaussian": ["task=impute"]}
    assert plan.refused == ["uniform: data.missing=mcar: Uniform needs every entry of x"]
    with pytest.raises(UserError, match="no model can be trained for these tasks: uniform: data.missing=mcar"):
        suite_tasks.plan("imputation", ["model=uniform", *given], ["impute"])


def test_tasks_wait_for_their_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "POLL", 0.0)
    plan = suite_tasks.plan("digits", [*GIVEN, f"runs_dir={tmp_path}"], ["augment", "augment num_seeds=2"])
    order = []

    def end(job: Job) -> int:
        name = job.cfg["choices"]["model"]
        order.append(name + job.what)
        if isinstance(job, suite_tasks.TaskJob):
            assert job.script.name == "task.py" and job.overrides[-1] == f"run={tmp_path / 'digits' / name / 'run'}"
            return 2 if "num_seeds=2" in job.name and name == "gaussian" else 0
        if name == "uniform":
            return 3
        stored_run(job, "run", {"status": "ok", "seed": 0, "model": name})
        return 0

    view = suite_tasks.View(plan, {}, 1, Console(file=sys.stdout))
    launcher.work(view, Instant(end))
    assert order[:3] == ["gaussian", "uniform", "made"]
    assert order[3:] == [
        f"{name}, task=augment{more}" for name in ("gaussian", "made") for more in ("", " num_seeds=2")
    ]
    assert view.total == 7 == len(view.outcomes)  # the tasks of the run that failed are left out
    assert [outcome.exit_code for outcome in view.outcomes] == [0, 3, 0, 0, 2, 0, 0]
    assert len({outcome.job.log for outcome in view.outcomes}) == 7


FEW = "num_images=6 num_draws=2 num_val=5"
SMALL = {  # what is trained, the tasks, and what stands on the page
    "restoration": (
        ["model=gaussian,uniform", "metrics=[bits_per_dim]"],
        f"restore degradations=[inpaint_center,denoise_0.25] {FEW}",
        ["Restoration: inpaint_center", "Restoration: denoise_0.25"],
    ),
    "imputation": (
        ["model=gaussian,uniform", "data=diabetes", "seed=0"],
        "impute num_rows=20",
        ["Imputation: mcar-0.3"],
    ),
    "anomaly": (
        ["model=gaussian", "metrics=[bits_per_dim]"],
        "anomaly against=[vflip,noise] num_images=50",
        ["Anomaly detection: against_vflip", "Anomaly detection: against_noise"],
    ),
    "from_text": (
        ["model=vae", "data=scenes", "data.num_scenes=400", "metrics=[bits_per_dim]"],
        "composition lists=[unseen] num_images=1 num_val=0",
        ["Composition: unseen", "vae data.condition=caption s=1", "shuffled captions"],
    ),
}


def benchmark(suite: str, folder: Path) -> str:
    """What the program prints, for a small suite with its runs and page in a folder."""
    options, task, _ = SMALL[suite]
    line = [
        *(sys.executable, str(config.SOURCE / "scripts" / "benchmark.py"), f"suite={suite}", *options, "budget=smoke"),
        *(f"runs_dir={folder}/runs", f"out={folder}/page", f"tasks={task}"),
    ]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", SMALL)
def test_a_small_suite_from_end_to_end(suite: str, tmp_path: Path) -> None:
    printed = benchmark(suite, tmp_path)
    assert "jobs finished" in printed and "there already" not in printed
    page = (tmp_path / "page" / "index.html").read_text()
    assert [title for title in SMALL[suite][2] if title not in page] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_suite_again_does_only_what_is_missing(tmp_path: Path) -> None:
    benchmark("restoration", tmp_path)
    rows = {path: path.read_bytes() for path in tmp_path.glob("runs/*/*/*/evaluations/*/result.json")}
    assert len(rows) == 2
    assert benchmark("restoration", tmp_path).count("there already: gaussian") == 2
    assert {path: path.read_bytes() for path in tmp_path.glob("runs/*/*/*/evaluations/*/result.json")} == rows
