"""What jobs will cost: from runs that are finished, else from trials; what is missing is counted."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

from genarena.config import compose
from genarena.jobs import preview
from genarena.jobs.job import Job, jobs_of
from genarena.run import run

TRIAL = {
    "example_seconds": 0.01,
    "example_flops": None,
    "sample_seconds": 0.1,
    "likelihood_seconds": 0.02,
    "memory_mb": 500.0,
    "weight_bytes": 2**20,
    "checkpoint_bytes": 4 * 2**20,
    "checkpoints": 3,
    "passes": None,
    "startup_seconds": 7.0,
}


def jobs(runs_dir: Path, *overrides: str) -> list[Job]:
    return jobs_of(["data=digits", "budget=smoke", f"runs_dir={runs_dir}", *overrides])


def no_bar(items, title, total):
    return items


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were tried; every trial says TRIAL."""
    tried: list[str] = []

    def told(cfgs):
        tried.extend(cfg["choices"]["model"] for cfg in cfgs)
        return [TRIAL] * len(cfgs)

    monkeypatch.setattr(preview, "_trials", told)
    return tried


def test_an_estimate_adds_up(tmp_path: Path, trials: list[str]) -> None:
    """smoke: 1,024 examples, 2 validations and 3 early ones of 64 and 64 samples, 64 samples and 64 likelihoods at the end."""
    (group,) = preview.preview(jobs(tmp_path, "model=vae", "seed=0,1,2"), no_bar)
    assert len(group.missing) == 3 and trials == ["vae"]  # seeds cost the same
    validation = 64 * 0.1 + 64 * 0.02
    assert group.estimate.seconds == pytest.approx(7.0 + 1024 * 0.01 + 5 * validation + validation)
    assert group.estimate.disk_bytes == (3 * 4 + 2 + 1) * 2**20
    (minutes,) = preview.preview(jobs(tmp_path, "model=vae", "budget.minutes=0.1"), no_bar)
    assert minutes.estimate.seconds == pytest.approx(7.0 + 6.0 + 6 * validation)


def test_one_that_ends_after_a_pass_takes_no_minutes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(preview, "_trials", lambda cfgs: [TRIAL | {"passes": 1, "example_seconds": 1e-5}])
    (group,) = preview.preview(jobs(tmp_path, "model=uniform", "budget=cpu_10min", "callbacks.grid_size=1"), no_bar)
    validations, scoring = (8 + 3) * (0.1 + 1000 * 0.02), 10_000 * 0.1 + 10_000 * 0.02
    assert group.estimate.seconds - 7.0 - 0.6 == pytest.approx(validations + scoring)


def test_a_finished_seed_says_what_the_others_cost(tmp_path: Path, trials: list[str]) -> None:
    given = ["data=digits", "model=uniform", "budget=smoke", "metrics=[]", f"runs_dir={tmp_path}", "logger=none"]
    run(compose(given))
    several = jobs_of([*given, "seed=0,1"])
    (group,) = preview.preview(several, no_bar)
    assert trials == []
    assert [job.cfg["seed"] for job in group.missing] == [1]
    assert (group.estimate.source, group.estimate.seconds >= preview.STARTUP) == ("seed 0", True)
    size = sum(path.stat().st_size for path in several[0].folder.rglob("*") if path.is_file())
    assert group.estimate.disk_bytes == size
    text = preview.summary([group], 1, str(tmp_path))[0]
    assert text.startswith("2 runs, 1 finished, 0 to go on, 1 new: about 1") and "(1 at a time)" in text
    preview.preview(jobs(tmp_path, "model=uniform", "evaluation.sample_seed=1"), no_bar)
    assert trials == ["uniform"]  # another evaluation is another job


def test_too_little_room_is_said(tmp_path: Path, trials: list[str], monkeypatch) -> None:
    groups = preview.preview(jobs(tmp_path / "not" / "yet", "model=vae,made", "seed=0,1"), no_bar)
    lines = preview.summary(groups, 2, str(tmp_path / "not" / "yet"))
    assert len(lines) == 1 and "1000 MB memory, 60 MB disk" in lines[0]
    monkeypatch.setattr(preview.shutil, "disk_usage", lambda path: type("", (), {"free": 2**20}))
    monkeypatch.setattr(preview.psutil, "virtual_memory", lambda: type("", (), {"available": 2**20}))
    warnings = preview.summary(groups, 2, str(tmp_path))[1:]
    assert warnings == [f"warning: only 1 MB of disk are free at {tmp_path}", "warning: only 1 MB of memory are free"]


def test_a_trial_that_dies_costs_only_its_own_line(tmp_path: Path, monkeypatch) -> None:
    """Out of memory, say: the process is gone, and a new one goes on with the next."""
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "for cfg in json.load(sys.stdin):\n"
        "    if cfg == 'dies': os._exit(9)\n"
        "    print(json.dumps({'seen': cfg}), flush=True)\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(preview.sys, "executable", str(fake))
    found = list(preview._trials(["a", "dies", "b", "dies"]))
    assert found == [
        {"seen": "a"},
        {"error": "the trial ended with exit code 9"},
        {"seen": "b"},
        {"error": "the trial ended with exit code 9"},
    ]


def test_the_table_tells_members_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(preview, "_trials", lambda cfgs: [TRIAL, {"error": "cannot [be] built"}])
    several = jobs_of(
        ["model=vae", "data=toy2d", "data.distribution=moons,spiral", "budget=smoke", f"runs_dir={tmp_path}"]
    )
    console = Console(width=140, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(preview.table(preview.preview(several, no_bar)))
    text = console.export_text()
    assert "toy2d distribution=moons" in text and "toy2d distribution=spiral" in text
    assert "cannot [be] built" in text and "500 MB" in text
