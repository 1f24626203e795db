"""The number of this process among those of one run, and their process group. A single process never waits here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from genarena.errors import UserError

SLURM = {
    "RANK": "SLURM_PROCID",
    "WORLD_SIZE": "SLURM_NTASKS",
    "LOCAL_RANK": "SLURM_LOCALID",
    "LOCAL_WORLD_SIZE": "SLURM_NTASKS_PER_NODE",
}

_alone = False  # inside `alone`


def joined() -> bool:
    """Whether this process works together with other processes of its run."""
    return not _alone and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside this context the process behaves as if it were the only one: no function of this room waits for other ranks."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def rank() -> int:
    """The number of this process, 0 .. size() - 1."""
    return dist.get_rank() if joined() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if joined() else 1


def started_elsewhere() -> bool:
    """Whether torchrun, srun or genarena's own launcher has started this process as one of several."""
    return expected() > 1 and "RANK" in os.environ


def expected() -> int:
    """The number of processes that were started for this run."""
    return int(os.environ.get("WORLD_SIZE", 1))


def expected_here() -> int:
    """The number of processes that were started for this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", expected()))


def rank_here() -> int:
    """The number of this process on this machine, which is also the number of its device."""
    return int(os.environ.get("LOCAL_RANK", 0))


@contextmanager
def together(accelerator: str, timeout: float) -> Iterator[None]:
    """Join the process group of this run; leave it at the end.

    timeout: seconds that a process waits for another before it fails.
    """
    if not started_elsewhere() or dist.is_initialized():
        yield
        return
    on_gpus = accelerator != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(rank_here())
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    yield  # after an error no barrier: the others may never reach it
    dist.barrier()
    dist.destroy_process_group()


def in_srun_step() -> bool:
    """Whether srun has started several processes in this step (a batch script is a single one)."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def adopt_slurm() -> None:
    """Copy srun's environment variables into those of torchrun. Raises UserError if srun did not start this process."""
    if "SLURM_PROCID" not in os.environ or "SLURM_JOB_ID" not in os.environ:
        raise UserError("trainer=slurm: this process was not started by srun: srun python train.py trainer=slurm ...")
    from lightning_fabric.plugins.environments import SLURMEnvironment

    tasks, nodes = int(os.environ.get("SLURM_NTASKS", 1)), int(os.environ.get("SLURM_NNODES", 1))
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(tasks // nodes))
    os.environ |= {name: os.environ[theirs] for name, theirs in SLURM.items() if theirs in os.environ}
    addresses = os.environ.get("SLURM_JOB_NODELIST", os.environ.get("SLURM_NODELIST", "127.0.0.1"))
    os.environ.setdefault("MASTER_ADDR", SLURMEnvironment.resolve_root_node_address(addresses))
    os.environ.setdefault("MASTER_PORT", str(15000 + int(os.environ["SLURM_JOB_ID"][-4:])))
