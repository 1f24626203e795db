"""Suites: what they stand for, what is shown, and a benchmark killed in the middle that does only what is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from genarena import config
from genarena.build import build
from genarena.errors import UserError
from genarena.jobs import benchmark, launcher, suite_tasks
from genarena.jobs.job import jobs_of
from genarena.runs import classes
from genarena.runs.past import fingerprint

ROOT = Path(__file__).parents[2]
SUITES = config.available("suite")


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_names_what_there_is(name: str) -> None:
    suite = benchmark.load(name)
    for group in ("model", "data"):
        assert set(suite[group]) <= set(config.available(group))
        assert len(set(suite[group])) == len(suite[group])
    assert suite["budget"] in config.available("budget")
    for line in benchmark.tasks(name):
        assert suite_tasks.asked(line)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_member_of_a_suite_can_be_built_on_its_data(name: str) -> None:
    jobs = jobs_of(benchmark.command(name, ["seed=0"]))
    families = {build(classes.resolved(job.cfg)["model"], "model").family for job in jobs}
    assert len(jobs) == len({fingerprint(job.cfg) for job in jobs})
    assert (
        benchmark.tasks(name)
        or {"baseline", "vae", "flow", "diffusion", "energy", "autoregressive", "invertible_ae"} <= families
    )


def test_the_first_seed_of_all_comes_first() -> None:
    jobs = jobs_of(benchmark.command("digits", ["model=vae,made"]))
    named = [(job.cfg["seed"], job.cfg["choices"]["model"]) for job in jobs]
    assert named == [(seed, model) for seed in (0, 1, 2) for model in ("vae", "made")]
    assert {job.cfg["runs_dir"] for job in jobs} == {str(Path("runs/suites/digits").absolute())}


def test_what_is_given_takes_the_place_of_the_suites() -> None:
    jobs = jobs_of(
        benchmark.command(
            "celeba",
            ["data=mnist", "seed=7", "model=vae", "trainer=cpu", "budget=smoke", "runs_dir=x", "data.num_val=5"],
        )
    )
    (job,) = jobs
    assert job.cfg["trainer"]["accelerator"] == "cpu" and job.cfg["data"]["num_val"] == 5
    assert (job.cfg["seed"], job.cfg["choices"]["data"], job.cfg["runs_dir"]) == (7, "mnist", str(Path("x").absolute()))


def test_mistakes_are_told_in_one_line(tmp_path: Path, monkeypatch) -> None:
    for name, given, words in (
        ("digts", [], "did you mean digits"),
        ("digits", ["budgt=smoke"], "did you mean budget"),
        ("digits", ["seed=-1"], "seed=-1"),
        ("digits", ["model=vea"], "did you mean vae"),
    ):
        with pytest.raises(UserError, match=words):
            benchmark.command(name, given)
    with pytest.raises(UserError, match="scripts/benchmark.py"):
        config.check(["suite=digits", "model=vae", "data=digits"])
    monkeypatch.setattr(config, "CONF", tmp_path)
    for content, words in (
        ("models: [vae]", "models: there is no such key; did you mean model"),
        ("model: vae\ndata: [a]\nseed: [0]\nbudget: b", "model: expected a list"),
        ("model: [vae]\ndata: [a]\nseed: [0]", "budget: expected a name"),
        ("model: [", "cannot be read"),
        ("model: [vae]\ndata: [a]\nseed: [0]\nbudget: b\ntasks: inpaint", "tasks: expected a list"),
    ):
        (tmp_path / "suite").mkdir(exist_ok=True)
        (tmp_path / "suite" / "mine.yaml").write_text(content)
        with pytest.raises(UserError, match=words):
            benchmark.command("mine", [])


class Instant(launcher.Launcher):
    """Jobs that end as the model says."""

    slots = 1

    def start(self, job, arguments, slot):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text("first\nerror: it broke\n")
        code = 3 if "made" in arguments[-1] or "model=made" in arguments else 0
        return type("Handle", (), {"poll": lambda self: code, "stop": lambda self: None, "kill": lambda self: None})()


def test_the_view_says_how_far_it_is(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(launcher, "POLL", 0.0)
    jobs = jobs_of(["seed=0", "data=digits", "model=vae,made,uniform", "budget=smoke", f"runs_dir={tmp_path}"])
    console = Console(width=120, file=sys.stdout)
    view = benchmark.View(jobs, {jobs[0]: 100.0, jobs[1]: 50.0}, 2, console)
    view.take()
    assert view.seconds_left == pytest.approx(75.0, abs=1.0)
    console.print(view)
    shown = capsys.readouterr().out
    assert "0 of 3 runs about 75 s left" in shown and "vae on digits, seed 0" in shown
    view = benchmark.View(jobs, {}, 2, console)
    benchmark.work(view, Instant())
    console.print(view)
    said = capsys.readouterr().out
    assert "[2/3] failed with exit code 3:" in said and "it broke" in said
    assert "3 of 3 runs" in said and "1 failed" in said
    assert [outcome.exit_code for outcome in view.outcomes] == [0, 3, 0]


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_the_leaderboard_goes_where_the_runs_go(logger: str, monkeypatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(
        benchmark.subprocess, "run", lambda line: called.append(line) or subprocess.CompletedProcess(line, 4)
    )
    assert benchmark.leaderboard({"runs_dir": "a", "logger": {"kind": logger}}, "b") == 4
    assert called[0][2:] == ["runs_dir=a", "out=b", *(["logger=wandb"] if logger == "wandb" else [])]


def test_the_line_that_uploads_all_runs(tmp_path: Path) -> None:
    assert benchmark.to_upload(str(tmp_path)) is None
    for seed in range(2):
        folder = tmp_path / "my runs" / "digits" / "vae" / f"seed{seed}" / "wandb" / "offline-run-1"
        folder.mkdir(parents=True)
    line = benchmark.to_upload(f"{tmp_path}/my runs")
    assert line == f"wandb: 2 to upload: wandb sync '{tmp_path}/my runs'/*/*/*/wandb/offline-run-*"
    (folder / "run-1.wandb.synced").touch()
    assert benchmark.to_upload(f"{tmp_path}/my runs").startswith("wandb: 1 to upload")


# -- the script --------------------------------------------------------------------------------------------------------


def command(tmp_path: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "scripts" / "benchmark.py"),
        "suite=digits",
        "seed=0,1",
        "budget=smoke",
        f"runs_dir={tmp_path}/runs",
        f"out={tmp_path}/page",
        *more,
    ]


def statuses(tmp_path: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in tmp_path.glob("runs/*/*/*/result.json")]


@pytest.mark.slow
def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, "model=vae", "preview=true"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 runs, 0 finished, 0 to go on, 2 new: about" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    line = command(tmp_path, "model=vae,uniform")
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("runs/*/*/*/config.yaml"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(line, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout and "4 of 4 jobs finished" in again.stdout
    assert statuses(tmp_path) == ["ok"] * 4
    page = (tmp_path / "page" / "index.html").read_text()
    assert "uniform" in page and "vae" in page
    once_more = subprocess.run(line, capture_output=True, text=True)
    assert once_more.returncode == 0 and once_more.stdout.count("finished before") == 4
    assert len(statuses(tmp_path)) == 4


@pytest.mark.slow
def test_a_member_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "model=pixelcnn,uniform", "data=toy2d", "seed=0"), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "1 of 2 jobs finished" in done.stdout and "shape (2,)" in done.stderr
    assert statuses(tmp_path) == ["ok"]
    assert (tmp_path / "page" / "index.html").is_file()
