"""The origin of a row: versions, commit, hardware, and source files of the model. torch is imported only when needed."""

import hashlib
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("genarena", "torch", "pytorch-lightning", "hydra-core", "torchmetrics", "torch-fidelity", "numpy")
ROOT = Path(__file__).parents[3]  # the root of a checkout
SOURCES = ("src", "conf", "scripts", "train.py")  # files that affect the results


@cache
def environment() -> dict[str, Any]:
    """`versions`, `commit` and `hardware` of this process."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "commit": commit(),
        "hardware": {"device": device, "threads": torch.get_num_threads(), "system": platform.system()},
    }


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit(root: Path = ROOT) -> str | None:
    """The commit of the source tree; None outside a checkout.

    It ends in `-dirty` if a tracked file was changed or a source file is untracked, because then the commit is not the code
    that ran.
    """
    if not (root / ".git").exists():
        return None
    try:
        described = _git(root, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").strip()
        untracked = _git(root, "ls-files", "--others", "--exclude-standard", "--", *SOURCES)
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{described}-dirty" if untracked and not described.endswith("-dirty") else described


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout


def sources(model: type) -> dict[str, str]:
    """Module -> sha256 of its source file, for the model and its base classes in genarena or in the model's package."""
    ours = ("genarena", model.__module__.partition(".")[0])
    names = dict.fromkeys(base.__module__ for base in model.__mro__ if base.__module__.partition(".")[0] in ours)
    files = {name: getattr(sys.modules[name], "__file__", None) for name in names}
    return {name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for name, file in files.items() if file}
