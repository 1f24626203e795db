"""Writes the checkpoints of a run: `last.ckpt`, `previous.ckpt` and `best.ckpt`."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from genarena.ranks import exchange
from genarena.runs import checkpoint
from genarena.training import sharding
from genarena.training.callbacks.ema import EMA
from genarena.training.callbacks.sample_quality import KEY

# The one rule: the first of these that a validation gives chooses the weights. `objective` is of models whose loss is no bound.
SELECTION = ("val/objective", "val/bits_per_dim", KEY)


class SealedCheckpointIO(TorchCheckpointIO):
    """Lets Lightning read and write the files of `genarena.runs.checkpoint`."""

    def save_checkpoint(
        self, checkpoint_: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        checkpoint.save(checkpoint_, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.load(path, map_location)


class Checkpoints(Callback):
    """After each validation writes `last.ckpt` (the former one becomes `previous.ckpt`), and `best.ckpt` if it is the best.

    best: the smallest value so far of the first key of `selection` that validations give, counted after the ramp of the loss;
    none for a model that passes over the data once.
    Nothing is written while steps are skipped for non-finite numbers, or if a weight is not finite, so every checkpoint is
    sound.
    """

    def __init__(self, folder: Path, selection: Sequence[str] = SELECTION) -> None:
        self.folder, self.selection = folder, selection
        self.best_value, self.best_progress, self.best_by = math.inf, 0.0, "last"
        self.validated = 0  # batches seen at the end of the last validation
        self.unbounded: set[str] = set()
        self.saved: Callable[[], object] = lambda: None  # called after a checkpoint is written

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def previous(self) -> Path:
        return self.folder / "previous.ckpt"

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    def newest(self) -> Path | None:
        """The newest sound checkpoint, else the best one; None if there is none yet. Raises Untrusted if all are damaged."""
        return checkpoint.newest_sound(self.last, self.previous, self.best)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            checkpoint.sweep(self.folder)
        self.unbounded = set(_nonfinite(pl_module.state_dict()))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.training and trainer.state.fn != "fit":
            return
        self.validated = pl_module.batches_seen
        if pl_module.nonfinite_in_a_row or self.nonfinite(trainer, pl_module):
            return
        whole_at_end = pl_module.max_epochs == 1  # statistics of one pass over the data: before, they are of a part
        key = None if whole_at_end else next((key for key in self.selection if key in pl_module.found), None)
        improved = key is not None and pl_module.progress >= pl_module.ramp and pl_module.found[key] < self.best_value
        if improved:
            self.best_value, self.best_progress, self.best_by = pl_module.found[key], pl_module.progress, key
        self.save(trainer, best=improved)

    def save(self, trainer: Trainer, best: bool = False) -> None:
        """Write a new file. When it is complete, it becomes `best.ckpt` (if `best`) and `last.ckpt`.

        best.ckpt comes first: a run that is killed in between resumes before this point and writes the same file again.
        """
        new = self.folder / "new.ckpt"
        trainer.save_checkpoint(new)
        if not trainer.is_global_zero:
            return
        if best:
            checkpoint.promote(new, self.best, copy=True)
        if self.last.exists():
            checkpoint.promote(self.last, self.previous)
        checkpoint.promote(new, self.last)
        checkpoint.remove(new)
        self.saved()

    def nonfinite(self, trainer: Trainer, pl_module: LightningModule) -> str | None:
        """The name of a validation value, weight or buffer (plain or averaged) that is not finite on some rank; None if all
        are finite.

        A buffer that was infinite before training (an unknown bound) may stay infinite.
        """
        values = {key: value for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        averaged = [callback.averaged for callback in trainer.callbacks if isinstance(callback, EMA)]
        found = (name for part in (values, pl_module.state_dict(), *averaged) for name in _nonfinite(part))
        own = next((name for name in found if name not in self.unbounded), None)
        return next(filter(None, exchange.gathered(own)), None)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best_value", "best_progress", "best_by", "validated")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)


def _nonfinite(tensors: dict[str, torch.Tensor]) -> Iterator[str]:
    return (name for name, value in tensors.items() if not bool(torch.isfinite(sharding.local(value)).all()))
