"""Draws samples and reconstructions at each validation, so that a user sees it when the loss falls but samples stay noise."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.runs import interruption
from genarena.spec import Batch

# (model, number of samples, validation examples with labels, path of the grid) -> the pictures that were written, by name
Draw = Callable[[LightningModule, int, Batch, Path], dict[str, Path]]


class SampleGrid(Callback):
    """Writes `samples/<percent of the budget>.png` and, if the model encodes and decodes, reconstructions of the first
    validation images as `<percent>-reconstructions.png`; within validation, with the averaged weights."""

    def __init__(self, folder: Path, num_samples: int, draw: Draw) -> None:
        self.folder, self.num_samples, self.draw = folder, num_samples, draw

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        drawn = self.num_samples and pl_module.spec.is_drawable
        if trainer.state.fn != "fit" or not drawn:
            return
        if trainer.is_global_zero:
            self._draw(trainer, pl_module, self.folder)
        elif pl_module.lockstep:  # sharded: all ranks take part in forward passes
            with tempfile.TemporaryDirectory() as folder:
                self._draw(trainer, pl_module, Path(folder))

    def _draw(self, trainer: Trainer, pl_module: LightningModule, folder: Path) -> None:
        torch.manual_seed(0)
        percent = 100.0 * pl_module.progress
        early = "06.2f" if percent < 10.0 else "03.0f"  # early validations may be less than one percent apart
        path = folder / f"{percent:{early}}.png"
        with interruption.allowed(trainer.world_size == 1):  # may take minutes
            data = trainer.datamodule
            held_out = data.val[: self.num_samples // 2 or 1].batch(data.spec.condition)
            drawn = self.draw(pl_module, self.num_samples, held_out, path)
        for tracker in trainer.loggers:
            for name, picture in drawn.items():
                tracker.log_picture(name, picture, pl_module.batches_seen)
