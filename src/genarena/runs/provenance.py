"""The origin of a row: versions, commit, hardware, and source files of the model. torch is imported only when needed."""

import ast
import hashlib
import platform
import subprocess
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genarena import plugins

LIBRARIES = ("genarena", "torch", "pytorch-lightning", "hydra-core", "torchmetrics", "torch-fidelity", "numpy")
ROOT = Path(__file__).parents[3]  # the root of a checkout
ROOMS = ("models", "nets", "distributions", "likelihood")  # whose modules are the source of a model
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


def sources(targets: Iterable[str]) -> dict[str, str]:
    """Module -> sha256 of its source file, for the modules of `targets` (dotted names of classes and functions).

    What counts: these modules, and all that they import, directly or not, from the rooms `models`, `nets`, `distributions` and
    `likelihood` of genarena or from packages of plugins. Other rooms and libraries do not; every byte of a file does.
    """
    found: dict[str, str] = {}
    waiting = [target.rpartition(".")[0] for target in targets]
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path is not None:
            content = path.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()
            waiting += _imported(content, f"{name}.__init__" if path.stem == "__init__" else name)
    return dict(sorted(found.items()))


def _file(module: str) -> Path | None:
    """The source file of a module that counts; None for others, and for names that are no module."""
    root, *parts = module.split(".")
    folder = {**plugins.packages(), "genarena": Path(__file__).parents[1]}.get(root)
    if folder is None or not parts or (root == "genarena" and parts[0] not in ROOMS):
        return None
    place = folder.joinpath(*parts)
    package = [] if root == "genarena" else [place / "__init__.py"]  # those of genarena hold no code
    return next((path for path in (place.with_suffix(".py"), *package) if path.is_file()), None)


@lru_cache(1024)
def _imported(content: bytes, module: str) -> list[str]:
    """Names of modules, and of what is imported from them, which may be modules too; also those inside functions."""
    found: list[str] = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*package, *filter(None, [node.module])])
            found += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return found
