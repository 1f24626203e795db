"""Finds run folders and their tensors, for tests."""

from pathlib import Path

import torch

from genarena.runs.folder import RunFolder


def only_run(runs_dir: Path, model: str = "*") -> Path:
    """The folder of the only run of the digits there, of that model."""
    (path,) = runs_dir.glob(f"digits/{model}/*")
    return path


def the_folder(runs_dir: Path) -> RunFolder:
    """The only run below `runs_dir`, on any data."""
    (path,) = runs_dir.glob("*/*/*")
    return RunFolder.open(path)


def tensors(value: object, prefix: str = "") -> dict[str, torch.Tensor]:
    """Path -> tensor, for all tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {key: leaf for name, item in items for key, leaf in tensors(item, f"{prefix}/{name}").items()}
