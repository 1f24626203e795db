"""`launcher=slurm`: every job of a sweep is a Slurm job, one task per device, through submitit. Imports no torch.

Each task runs the same `train.py` command line, so all ranks have the parameters of one trial. A job outlives the command
that queued it. The same command again waits for jobs that are still queued or running, and resumes the others.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genarena.errors import UserError, printable
from genarena.jobs.echo import Echo
from genarena.jobs.job import TRAIN, Job


class Slurm:
    """A launcher; `settings` as in `conf/launcher/slurm.yaml`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError("launcher=slurm needs the package: pip install 'genarena[slurm]'") from error
        self.submitit, self.settings, self.slots = submitit, settings, settings["slots"]

    def start(self, job: Job, arguments: Sequence[str], slot: int) -> "SlurmHandle":
        executor = self._executor(job)
        executor.update_parameters(**parameters(self.settings, job.cfg["trainer"], job.log.stem))
        echo = Echo(job.log, f"[{slot}] ")
        submitted = executor.submit(train, list(arguments), str(job.log.absolute()), str(job.script))
        _note(job).write_text(submitted.job_id)
        print(printable(f"[{slot}] job {submitted.job_id}: {job.script.name} {' '.join(arguments)}"), flush=True)
        return SlurmHandle(submitted, job, echo)

    def attach(self, job: Job, slot: int) -> "SlurmHandle | None":
        """The job, if an earlier command queued it and it still waits or runs; else None."""
        if not _note(job).is_file():
            return None
        known = self.submitit.SlurmJob(folder=_folder(job), job_id=_note(job).read_text().strip())
        if known.done(force_check=True):
            return None
        print(printable(f"[{slot}] job {known.job_id} goes on: {job.name}"), flush=True)
        return SlurmHandle(known, job, Echo(job.log, f"[{slot}] "))

    def close(self) -> None:
        """Does nothing: jobs outlive the command that queued them."""

    def _executor(self, job: Job) -> Any:
        try:
            return self.submitit.AutoExecutor(folder=_folder(job), cluster="slurm")
        except RuntimeError as error:  # no srun on this machine
            raise UserError(f"launcher=slurm: {error}") from error


class SlurmHandle:
    """A queued or running Slurm job."""

    def __init__(self, submitted: Any, job: Job, echo: Echo) -> None:
        self.submitted, self.job, self.echo = submitted, job, echo
        self.stopped = False

    def poll(self) -> int | None:
        ended = self.submitted.done()
        self.echo.show()
        if not ended:
            return None
        code = _code(self.job.log, self.submitted.job_id)
        if code.is_file():
            return int(code.read_text())
        with self.job.log.open("a") as log:
            log.write(f"error: job {self.submitted.job_id} left no exit code: see {self.submitted.paths.stdout}\n")
        return 1

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.submitted.cancel(check=False)

    def kill(self) -> None:
        self.submitted.cancel(check=False)


def parameters(settings: dict[str, Any], trainer: dict[str, Any], name: str) -> dict[str, Any]:
    """Parameters of submitit for a job. Raises UserError unless the trainer has a fixed number of devices that fits."""
    devices = trainer.get("devices")
    if not isinstance(devices, int) or devices < 1:
        raise UserError(
            f"trainer.devices={devices}: launcher=slurm starts one task per device: give their number per node"
        )
    if devices * settings["nodes"] > 1 and not trainer.get("srun"):
        raise UserError(f"trainer.devices={devices}: launcher=slurm starts a task per device: take trainer=slurm")
    asked = {
        "name": name,
        "nodes": settings["nodes"],
        "tasks_per_node": devices,
        "cpus_per_task": settings["cores_per_task"],
        "timeout_min": settings["minutes"],
        "mem_gb": settings["memory_gb"],
        "stderr_to_stdout": True,
        "gpus_per_node": 0 if trainer["accelerator"] == "cpu" else devices,
    }
    of_slurm = {
        "slurm_partition": settings["partition"],
        "slurm_account": settings["account"],
        "slurm_signal_delay_s": settings["warn_seconds"],
        "slurm_additional_parameters": settings["options"] or None,
    }
    return asked | {key: value for key, value in of_slurm.items() if value is not None}


def train(arguments: list[str], log: str, script: str = str(TRAIN)) -> int:
    """In each task of a job: run the script as one rank. Slurm's warning (USR2) is passed on as SIGTERM: a checkpoint."""
    import submitit

    environment = submitit.JobEnvironment()
    first = environment.global_rank == 0
    signal.signal(
        signal.SIGUSR2, signal.SIG_IGN
    )  # inherited by the child, which Slurm signals too; without it USR2 would kill the child
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdout=file if first else None,
            stderr=file if first else None,
            cwd=os.getcwd(),
        )
    for name in (signal.SIGUSR2, signal.SIGTERM):
        signal.signal(name, lambda *_: process.terminate())
    code = process.wait()
    if first:
        _code(Path(log), environment.job_id).write_text(str(code))
    return code


def _folder(job: Job) -> Path:
    """The folder of submitit's files."""
    return job.log.parent / "slurm"


def _note(job: Job) -> Path:
    """The file with the id of this job's newest Slurm job."""
    return job.log.with_suffix(".slurm")


def _code(log: Path, job_id: str) -> Path:
    """The file with the exit code of rank 0. (Submitit's own result is a pickle, which is not read.)"""
    return log.with_suffix(f".{job_id}.code")
