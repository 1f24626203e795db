"""Peak memory of one run, in MB: of the GPU if there is one, else of this process.

A process of a gigabyte is mostly imported libraries and data, which say nothing about a model. What a model takes is counted
above them: its own numbers, and all that is made while it works.
"""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import nn

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Measures from now on. model: its numbers are there already, and count as its own."""

    def __init__(self, model: nn.Module) -> None:
        reset_peak()
        own = sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
        on_gpu = any(tensor.is_cuda for tensor in model.parameters())
        self._before = (psutil.Process().memory_info().rss - (0 if on_gpu else own)) / 2**20

    @property
    def facts(self) -> dict[str, float]:
        """`peak_memory_mb`: above libraries and data, or of the GPU. `process_memory_mb`: the whole, as `peak_mb` says it."""
        whole = peak_mb()
        on_gpu = torch.cuda.is_available() and torch.cuda.max_memory_allocated()
        return {"peak_memory_mb": whole if on_gpu else max(0.0, whole - self._before), "process_memory_mb": whole}


def reset_peak() -> None:
    """Forget the peak of earlier runs in this process (possible on GPUs and on Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # on other systems the peak counts since the process began
        CLEAR.write_text("5")


def peak_mb() -> float:
    """Largest memory use since `reset_peak`, in MB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
