"""Which GPUs and how many cores each of several jobs on this machine gets. No torch here."""

import os
import shutil
import subprocess
from typing import Any


def gpus() -> list[str]:
    """Ids of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True).stdout
    return [str(index) for index, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def slots(trainer: dict[str, Any]) -> int:
    """As many jobs at a time as there are shares of GPUs for `trainer`; one where it takes the CPU, or all GPUs."""
    devices = trainer.get("devices", 1)
    if trainer["accelerator"] == "cpu" or not isinstance(devices, int) or devices < 1:
        return 1
    return max(1, len(gpus()) // devices)


def environment(slot: int, slots: int) -> dict[str, str]:
    """Variables for the job in `slot`: its share of the GPUs, and of the cores unless OMP_NUM_THREADS is set."""
    if slots == 1:
        return {}
    known, own = gpus(), {}
    if known:  # more slots than GPUs share them
        own["CUDA_VISIBLE_DEVICES"] = ",".join(known[slot::slots] or [known[slot % len(known)]])
    if "OMP_NUM_THREADS" not in os.environ:
        own["OMP_NUM_THREADS"] = str(max(1, cores() // slots))
    return own


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
