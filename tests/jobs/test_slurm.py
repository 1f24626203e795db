"""What a cluster is asked for, and the whole way on a stand-in for one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.jobs import launcher, slurm
from genarena.jobs.job import Job, job_of
from genarena.runs import results
from tests.instant_jobs import stored_run

submitit = pytest.importorskip("submitit")

ROOT = Path(__file__).parents[2]
LINE = ["model=uniform", "data=toy2d", "budget=smoke", "budget.examples=64", "metrics=[]", "logger=none"]


def settings(**given: object) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config.CONF / "launcher" / "slurm.yaml")) | given


def job(tmp_path: Path) -> Job:
    return job_of(config.check([*LINE, f"runs_dir={tmp_path}/runs"]))


def test_one_task_per_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from submitit.slurm.slurm import SlurmExecutor

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))  # as on a machine with srun
    executor = slurm.Slurm(settings())._executor(job(tmp_path))
    gpu = {"accelerator": "gpu", "devices": 4, "srun": True}
    asked = slurm.parameters(settings(nodes=2, partition="fast", options={"constraint": "a100"}), gpu, "vae")
    executor.update_parameters(**asked)
    text = executor._executor._make_submission_file_text("command", "uid")
    for line in (
        "--ntasks-per-node=4",
        "--nodes=2",
        "--gpus-per-node=4",
        "--partition=fast",
        "--constraint=a100",
        "--time=720",
        "--signal=USR2@90",
        "--mem=32GB",
        "--cpus-per-task=4",
        "--job-name=vae",
    ):
        assert f"#SBATCH {line}\n" in text
    assert "account" not in text
    assert slurm.parameters(settings(), {"accelerator": "cpu", "devices": 1}, "")["gpus_per_node"] == 0


def test_an_open_number_of_devices_and_a_machine_without_slurm_are_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"trainer.devices=-1: .*give their number"):
        launcher.make(settings(), {"accelerator": "gpu", "devices": -1})
    with pytest.raises(UserError, match="take trainer=slurm"):
        launcher.make(settings(), {"accelerator": "gpu", "devices": 2})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="launcher=slurm: "):
        slurm.Slurm(settings()).start(job(tmp_path), [], 0)


class Known:
    """A job that the cluster knows, and that ends when it is told to."""

    ended = False

    def __init__(self, folder: Path, job_id: str) -> None:
        self.job_id, self.paths = job_id, submitit.core.utils.JobPaths(folder, job_id)

    def done(self, force_check: bool = False) -> bool:
        return Known.ended


def test_a_job_that_is_still_queued_is_waited_for_and_not_queued_again(tmp_path: Path, monkeypatch) -> None:
    mine = job(tmp_path)
    starts = slurm.Slurm(settings(slots=1))
    monkeypatch.setattr(starts.submitit, "SlurmJob", Known)
    stored_run(mine, "a", {"status": "failed", "error": "did not finish: it runs, or was killed"})
    assert starts.attach(mine, 0) is None
    mine.log.parent.mkdir(parents=True)
    slurm._note(mine).write_text("17")
    handle = starts.attach(mine, 0)
    assert handle.poll() is None
    monkeypatch.setattr(Known, "ended", True)
    assert handle.poll() == 1  # it was cancelled, or its node died
    assert "error: job 17 left no exit code: see " in mine.log.read_text()
    slurm._code(mine.log, "17").write_text("0")
    assert handle.poll() == 0
    assert starts.attach(mine, 0) is None


STAND_IN = """#!{python}
# sbatch, srun, sacct and scancel for one machine: a job is a process, {folder}/<id> its life.
import os, pathlib, re, signal, subprocess, sys
folder, name, arguments = pathlib.Path("{folder}"), os.path.basename(sys.argv[0]), sys.argv[1:]
if name == "sbatch":
    number = str(len(list(folder.glob("*.id"))) + 1)
    text = pathlib.Path(arguments[-1]).read_text()
    ntasks = re.search(r"--ntasks-per-node=(\\d+)", text)[1]
    env = dict(os.environ, SLURM_JOB_ID=number, SLURM_NTASKS=ntasks, SLURM_JOB_NAME="genarena", SLURM_NNODES="1",
               SLURM_NODELIST="localhost", SLURM_JOB_NODELIST="localhost", SLURM_JOB_NUM_NODES="1", SLURM_NODEID="0")
    process = subprocess.Popen(["bash", arguments[-1]], env=env, start_new_session=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    (folder / (number + ".id")).write_text(str(process.pid))
    print("Submitted batch job", number)
elif name == "srun":
    command = arguments[3:]  # after --unbuffered --output <file>
    ranks = [subprocess.Popen(command, env=dict(os.environ, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank),
                                                SLURM_STEP_NUM_TASKS=os.environ["SLURM_NTASKS"]))
             for rank in range(int(os.environ["SLURM_NTASKS"]))]
    sys.exit(max(rank.wait() for rank in ranks))
elif name == "sacct":
    number = arguments[-1]
    try:
        os.killpg(int((folder / (number + ".id")).read_text()), 0)
        state = "RUNNING"
    except ProcessLookupError:
        state = "COMPLETED"
    print("JobID|State|NodeList\\n" + number + "|" + state + "|localhost")
elif name == "scancel":
    os.killpg(int((folder / (arguments[-1] + ".id")).read_text()), signal.SIGTERM)
"""


@pytest.mark.slow
def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks per job. The command is killed while its job runs; the same line waits for that job and starts no other."""
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        path = tmp_path / "bin" / name
        path.write_text(STAND_IN.format(python=sys.executable, folder=tmp_path / "bin"))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "-m",
        *LINE,
        "seed=0,1",
        f"runs_dir={tmp_path}/runs",
        "launcher=slurm",
        "launcher.slots=1",
        "trainer=slurm",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/.jobs/*.slurm")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "goes on: model=uniform" in done.stdout and "2 of 2 jobs finished" in done.stdout
    rows = [results.read_row(path) for path in tmp_path.glob("runs/*/*/*/result.json")]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["cost"]["world_size"] for row in rows] == [2, 2]
    assert len(list((tmp_path / "bin").glob("*.id"))) == 2
