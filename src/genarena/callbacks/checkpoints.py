"""Checkpoints that are whole or not there: `last.ckpt`, the one before it, and `best.ckpt`."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from genarena.errors import Untrusted
from genarena.files import replace_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk, renames; loads tensors and plain containers only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        replace_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(self, path: str | Path, map_location: Any | None = None,
                        weights_only: bool | None = None) -> dict[str, Any]:  # fmt: skip
        return load_checkpoint(Path(path), map_location)


def load_checkpoint(path: Path, map_location: Any | None = None) -> dict[str, Any]:
    """The content of a local checkpoint file. Raises Untrusted when it is truncated, damaged or holds other objects."""
    try:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for one truncated file
        lines = str(error).strip().splitlines()
        raise Untrusted(f"{path} is damaged or holds more than tensors ({lines[0] if lines else error!r})") from error


class Checkpoints(Callback):
    """After each validation: `last.ckpt` (the former one becomes `previous.ckpt`), and `best.ckpt` where it is best.

    best: the smallest value of the model's `selection` key so far. Nothing is written while steps are being left out
    for non-finite numbers, so every file here is a good one.
    """

    def __init__(self, folder: Path, selection: str | None) -> None:
        self.folder, self.selection = folder, selection
        self.best_value, self.best_progress = math.inf, 0.0

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.training and trainer.state.fn != "fit":
            return
        values = [float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")]
        if pl_module.nonfinite_in_a_row or not all(map(math.isfinite, values)):
            return
        value = float(trainer.callback_metrics[self.selection]) if self.selection else math.inf
        improved = value < self.best_value
        if improved:
            self.best_value, self.best_progress = value, pl_module.progress
        if trainer.is_global_zero and self.last.exists():
            replace_atomically(self.folder / "previous.ckpt", lambda temporary: os.link(self.last, temporary))
        trainer.save_checkpoint(self.last)
        if improved and trainer.is_global_zero:
            replace_atomically(self.best, lambda temporary: shutil.copyfile(self.last, temporary))

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_progress": self.best_progress}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.best_progress = state_dict["best_value"], state_dict["best_progress"]
