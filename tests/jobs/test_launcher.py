"""Many runs from one command: the rest goes on after a failure, nothing is done twice, nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
import pytest

from genarena import config
from genarena.errors import UserError
from genarena.jobs import launcher, local_jobs
from genarena.jobs.job import Job, job_of, jobs_of
from genarena.jobs.launcher import Queue
from genarena.jobs.local_jobs import Processes
from genarena.runs import results
from genarena.runs.past import find_run, fingerprint
from genarena.startup import threads
from tests.instant_jobs import Instant, stored_run

ROOT = Path(__file__).parents[2]
SMALL = ["budget=smoke", "budget.examples=64", "metrics=[]", "logger=none", "callbacks.grid_size=1"]
ENDLESS = [
    "model=realnvp",
    "data=digits",
    "budget=smoke",
    "budget.examples=100000000",
    "budget.validations=100000",
    "metrics=[]",
    "callbacks.grid_size=1",
    "callbacks.progress=false",
    "logger=none",
]


def train(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_sweep_goes_on_after_a_failed_job_and_does_only_what_is_missing(tmp_path: Path) -> None:
    command = train("-m", "model=pixelcnn,uniform", "data=toy2d", "seed=0", f"runs_dir={tmp_path}/runs", *SMALL)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1 and "model=pixelcnn" in done.stderr
    assert "shape (2,)" in done.stderr  # the reason, not only the code
    assert "Traceback" not in done.stderr + done.stdout
    (result,) = tmp_path.glob("runs/*/*/*/result.json")
    row = results.read_row(result)
    assert (row["model"], row["status"]) == ("uniform", "ok")
    assert "1 of 2 jobs finished" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "finished before: model=uniform" in again.stdout
    assert results.read_row(result) == row and len(list(tmp_path.glob("runs/*/*/*/result.json"))) == 1


def test_the_combinations_are_those_of_hydra(tmp_path: Path) -> None:
    jobs = jobs_of(
        config.check(
            [
                "model=vae,made",
                "data=digits",
                "seed=range(2)",
                "metrics=[bits_per_dim]",
                f"runs_dir={tmp_path}",
                "launcher.slots=2",
            ]
        )
    )
    assert [job.name.split(f" runs_dir={tmp_path}")[0] for job in jobs] == [
        f"model={model} data=digits seed={seed} metrics=[bits_per_dim]" for model in ("vae", "made") for seed in (0, 1)
    ]
    assert len({job.log for job in jobs}) == 4
    assert [job.cfg["seed"] for job in jobs] == [0, 1, 0, 1]


@cache
def job(tmp_path: Path, *more: str) -> Job:
    return job_of(config.check(["model=made", "data=digits", f"runs_dir={tmp_path}", *SMALL, *more]))


def seeded(tmp_path: Path, seed: int) -> Job:
    return Job((f"seed={seed}",), job(tmp_path).cfg | {"seed": seed})


def test_a_run_of_exactly_the_same_configuration_is_recognised(tmp_path: Path) -> None:
    mine = job(tmp_path)
    assert mine.folder is None
    stored_run(job(tmp_path, "trainer.precision=bf16-mixed"), "a", {"status": "ok"})
    stored_run(job(tmp_path, "model.hidden=[3]"), "b", {"status": "ok"})
    stored_run(job(tmp_path, "callbacks.max_skips=3"), "c", {"status": "ok"})
    stored_run(job(tmp_path, "data.root=/elsewhere"), "f", {"status": "ok"})  # there may be other pictures there
    assert mine.folder is None  # each of them trains another model
    assert find_run(mine.cfg).name in ("a", "c")  # as a published setting, where the trainer may differ
    failed = stored_run(job(tmp_path), "d", {"status": "failed", "error": "interrupted"})
    assert mine.folder == failed
    finished = stored_run(job(tmp_path, "callbacks.progress=false"), "e", {"status": "ok"})
    os.utime(finished / "config.yaml", (1, 1))
    assert mine.folder == finished  # before an unfinished one, though that is newer
    assert fingerprint(mine.cfg) == fingerprint(job(tmp_path, "logger=csv").cfg)
    assert fingerprint(mine.cfg) != fingerprint(seeded(tmp_path, 1).cfg)


def test_interrupted_runs_are_resumed_and_diverged_ones_are_not_repeated(tmp_path: Path) -> None:
    interrupted, diverged = seeded(tmp_path, 1), seeded(tmp_path, 2)
    folder = stored_run(interrupted, "a", {"status": "failed", "error": "interrupted"})
    stored_run(diverged, "b", {"status": "diverged", "error": "Diverged: training diverged at 3% of the budget"})
    starts = Instant(0)
    queue = Queue([interrupted, diverged])
    launcher.work(queue, starts)
    assert starts.started == [f"resume={folder}"]
    assert {outcome.job: (outcome.exit_code, outcome.reused) for outcome in queue.outcomes} == {
        interrupted: (0, False),
        diverged: (3, True),
    }
    assert "training diverged" in queue.outcomes[-1].error


@pytest.mark.parametrize(("codes", "worst"), [((0, 0), 0), ((2, 5), 2), ((3, 2), 3), ((3, 1), 1), ((-9, 4), 1)])
def test_the_exit_code_is_the_worst(tmp_path: Path, codes: tuple[int, int], worst: int, capsys) -> None:
    queue = Queue([seeded(tmp_path, seed) for seed in range(2)])
    launcher.work(queue, Instant(*codes))
    assert launcher.report(queue.outcomes) == worst
    assert capsys.readouterr().err.count("error: ") == sum(code != 0 for code in codes)


def test_what_is_unwanted_is_stopped(tmp_path: Path) -> None:
    class Impatient(Queue):
        def unwanted(self, job: Job) -> bool:
            return True

    queue, starts = Impatient([job(tmp_path)]), Instant(None)
    launcher.work(queue, starts)
    assert starts.stopped == [outcome.job for outcome in queue.outcomes] and len(starts.stopped) == 1


def test_gpus_and_cores_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,5")
    monkeypatch.setattr(threads, "cores", lambda: 8)
    seen = [local_jobs.environment(slot, 2) for slot in range(2)]
    assert [own["CUDA_VISIBLE_DEVICES"] for own in seen] == ["0,2", "1,5"]
    assert [own["GENARENA_CORES"] for own in seen] == ["4", "4"]
    assert [local_jobs.environment(slot, 6)["CUDA_VISIBLE_DEVICES"] for slot in range(6)] == [
        "0",
        "1",
        "2",
        "5",
        "0",
        "1",
    ]
    assert local_jobs.environment(0, 1) == {}
    gpu = {"accelerator": "gpu"}
    assert [local_jobs.slots(gpu | {"devices": n}) for n in (1, 2, -1)] == [4, 2, 1]
    assert local_jobs.slots({"accelerator": "cpu", "devices": 1}) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_jobs.slots(gpu | {"devices": 1}) == 1
    assert "CUDA_VISIBLE_DEVICES" not in local_jobs.environment(0, 2)


def test_ranks_do_not_start_sweeps_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match="not torchrun"):
        launcher.multirun(["model=made", "data=digits"])


def test_two_slots_work_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two scripts waits for the other one: one after the other would never end."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys, time, pathlib\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / f'seed{sys.argv[1][-1]}').write_text(os.environ['GENARENA_CORES'])\n"
        "while len(list(here.glob('seed?'))) < 2: time.sleep(0.05)\n"
    )
    monkeypatch.setattr(threads, "cores", lambda: 6)
    queue = Queue([replace(seeded(tmp_path, seed), script=script) for seed in range(2)])
    launcher.work(queue, Processes(2))
    assert [outcome.exit_code for outcome in queue.outcomes] == [0, 0]
    assert [(tmp_path / f"seed{seed}").read_text() for seed in range(2)] == ["3", "3"]


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_jobs_die_with_a_killed_launcher_and_the_same_line_goes_on(tmp_path: Path, devices: int) -> None:
    """kill -9 of the parent: no process is left, also no rank; the same folder goes on."""
    more = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"] if devices == 2 else []
    command = train("-m", *ENDLESS, *more, f"runs_dir={tmp_path}/runs")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("runs/*/*/*/checkpoints/last.ckpt")))
    family = descendants(process)
    assert len(family) >= devices
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    again = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert any("goes on from" in line for line in again.stdout)
    again.send_signal(signal.SIGTERM)
    family = descendants(again)
    assert again.wait(timeout=90) == 128 + signal.SIGTERM
    assert not psutil.wait_procs(family, timeout=60)[1]
    assert len(list(tmp_path.glob("runs/*/*/*/config.yaml"))) == 1


@pytest.mark.slow
def test_jobs_of_two_ranks_under_a_sweep(tmp_path: Path) -> None:
    """What Lightning starts for rank 1 is the job, not the sweep: both ranks of both jobs share their own parameters."""
    done = subprocess.run(
        train(
            "-m",
            "model=realnvp",
            "data=digits",
            "model.patch=1,2",
            "trainer=ddp",
            "trainer.accelerator=cpu",
            "trainer.devices=2",
            f"runs_dir={tmp_path}/runs",
            *SMALL,
            "model.training.batch_size=32",
        ),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    rows = [results.read_row(path) for path in tmp_path.glob("runs/*/*/*/result.json")]
    assert sorted(row["overrides"][0] for row in rows) == ["model.patch=1", "model.patch=2"]
    assert [row["cost"]["examples_seen"] for row in rows] == [64, 64]
