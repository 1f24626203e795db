"""The processes of one run, from outside: however they are started and whichever of them dies, one folder, one end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from genarena.errors import Diverged, RankDied, UserError
from genarena.ranks import processes
from genarena.ranks.processes import Ending
from genarena.runs import checkpoint, results
from genarena.runs.folder import RunFolder
from genarena.runs.interruption import Interrupted
from tests.ranks.test_two_processes import start_two

ROOT = Path(__file__).parents[2]
DDP = ["trainer=ddp", "trainer.accelerator=cpu"]


def command(runs_dir: Path, *more: str) -> list[str]:
    return [
        str(ROOT / "train.py"),
        "model=made",
        "data=digits",
        "budget=smoke",
        "budget.examples=128",
        "model.training.batch_size=32",
        "model.hidden=[16]",
        "metrics=[bits_per_dim]",
        "callbacks.progress=false",
        "callbacks.grid_size=1",
        f"runs_dir={runs_dir}",
        *DDP,
        *more,
    ]


def train(runs_dir: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command(runs_dir, *more)], capture_output=True, text=True, timeout=250)


def the_run(runs_dir: Path) -> Path:
    (path,) = runs_dir.glob("digits/made/*")
    return path


class Training:
    """A long run of two ranks, past its first checkpoint."""

    def __init__(self, runs_dir: Path, *more: str) -> None:
        endless = ["trainer.devices=2", "budget.examples=100000000", "budget.validations=100000", "budget.num_val=8"]
        self.process = subprocess.Popen(
            [sys.executable, *command(runs_dir, *endless, *more)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 200
        while not list(runs_dir.glob("*/*/*/checkpoints/last.ckpt")):
            assert self.process.poll() is None and time.monotonic() < deadline, self.process.communicate()[1]
            time.sleep(0.2)
        children = psutil.Process(self.process.pid).children()
        self.ranks = {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}
        assert sorted(self.ranks) == [0, 1]

    def end(self, within: float) -> tuple[int, str]:
        """Exit code and errors; no rank is left."""
        _, errors = self.process.communicate(timeout=within)
        assert not psutil.wait_procs(self.ranks.values(), timeout=10)[1]
        return self.process.returncode, errors


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    job = Training(tmp_path, "trainer.timeout=8")
    yield job
    for process in [job.process, *job.ranks.values()]:
        if process.poll() is None if process is job.process else process.is_running():
            process.kill()


# -- what the launcher makes of what it sees ---------------------------------------------------------------------------


def test_the_cause_is_told_before_its_consequences() -> None:
    lost = Ending(0, "RuntimeError", "RuntimeError: connection closed by peer")
    (first, *_) = processes.failures([1, -9], [lost])
    assert isinstance(first, RankDied) and str(first) == "rank 1 of 2 was killed (SIGKILL)"
    (first, *_) = processes.failures([1, 3], [lost, Ending(1, "Diverged", "training diverged")])
    assert isinstance(first, Diverged) and str(first) == "training diverged"
    (first, *_) = processes.failures([2, 2], [Ending(rank, "UserError", "no such file") for rank in (1, 0)])
    assert isinstance(first, UserError)
    (first, *_) = processes.failures([1, 143], [lost, Ending(1, "Interrupted", "interrupted (SIGTERM)")])
    assert isinstance(first, Interrupted) and first.number == signal.SIGTERM
    (first, *_) = processes.failures([1, None], [lost])
    assert isinstance(first, RankDied) and str(first) == "rank 1 of 2 did not answer, and was killed"
    (first, *_) = processes.failures([0, 7], [])
    assert str(first) == "rank 1 of 2 ended with exit code 7"
    assert processes.failures([0, 0], []) == []


# -- started ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_plain_python_is_one_run(tmp_path: Path) -> None:
    done = train(tmp_path, "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bits_per_dim") == done.stdout.count("run: ") == 1
    cost = results.read_row(the_run(tmp_path) / "result.json")["cost"]
    assert (cost["world_size"], cost["examples_seen"], cost["effective_batch_size"]) == (2, 128, 32)


@pytest.mark.slow
def test_torchrun_is_one_run(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master-port=0", "--standalone"]
    done = subprocess.run([*launcher, *command(tmp_path)], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert results.read_row(the_run(tmp_path) / "result.json")["cost"]["world_size"] == 2


@pytest.mark.slow
def test_srun_is_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {
        "SLURM_JOB_ID": "71234",
        "SLURM_NTASKS": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_JOB_NODELIST": "127.0.0.1",
    }
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    line = [*command(tmp_path, "trainer=slurm", "trainer.accelerator=cpu")]
    ranks = start_two(*line, own=("SLURM_PROCID", "SLURM_LOCALID"))
    outputs = [process.communicate(timeout=250)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], outputs
    assert results.read_row(the_run(tmp_path) / "result.json")["cost"]["world_size"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["trainer.devices=2", "data.batch_size=33"], "data.batch_size=33: counts over all 2 ranks"),
        (["trainer.devices=-1"], "trainer.devices=-1: on the CPU, say how many processes"),
        (["trainer=slurm"], "srun python train.py trainer=slurm"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(more: list[str], words: str, tmp_path: Path) -> None:
    done = train(tmp_path / "runs", *more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


# -- ended -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_dead_rank_ends_the_run(rank: int, training: Training, tmp_path: Path) -> None:
    training.ranks[rank].kill()
    code, errors = training.end(within=60)
    assert code == 1
    assert errors.splitlines()[-1] == f"error: rank {rank} of 2 was killed (SIGKILL)"
    assert results.read_row(the_run(tmp_path) / "result.json")["error"] == f"rank {rank} of 2 was killed (SIGKILL)"


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_rank_ends_the_run_within_the_timeout(rank: int, training: Training, tmp_path: Path) -> None:
    training.ranks[rank].suspend()
    code, errors = training.end(within=60)  # trainer.timeout=8, the grace of 10 for the others, a busy machine
    assert code == 1
    assert errors.splitlines()[-1].startswith("error: ")
    assert results.read_row(the_run(tmp_path) / "result.json")["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_of_all_ranks(number: int, training: Training, tmp_path: Path) -> None:
    training.process.send_signal(number)
    code, errors = training.end(within=60)
    assert code == 128 + number
    assert errors.splitlines()[-1] == f"error: interrupted ({signal.Signals(number).name})"
    row = results.read_row(the_run(tmp_path) / "result.json")
    assert row["error"] == f"interrupted ({signal.Signals(number).name})"
    seen = row["cost"]["examples_seen"]
    done = train(tmp_path, "trainer.devices=2", f"resume={the_run(tmp_path)}", f"budget.examples={seen + 64}")
    assert done.returncode == 0, done.stderr
    assert results.read_row(the_run(tmp_path) / "result.json")["cost"]["examples_seen"] == seen + 64


@pytest.mark.slow
def test_a_killed_launcher_takes_its_ranks_along_and_the_run_goes_on_alone(training: Training, tmp_path: Path) -> None:
    second = train(tmp_path, "trainer.devices=2", f"resume={the_run(tmp_path)}", "budget.examples=100000000")
    assert second.returncode == 5, second.stderr
    os.kill(training.process.pid, signal.SIGKILL)
    training.end(within=30)
    saved = checkpoint.load(RunFolder.open(the_run(tmp_path)).last)["callbacks"]["Budget"]
    longer = ["budget.examples=null", f"budget.minutes={saved['seconds'] / 60 + 0.01}"]
    alone = train(tmp_path, "trainer=cpu", "trainer.devices=1", f"resume={the_run(tmp_path)}", *longer)
    assert alone.returncode == 0, alone.stderr
