"""A picture of samples at each validation, so that a falling loss over a grid of noise is seen."""

from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.pictures import save_samples


class SampleGrid(Callback):
    """`samples/<share of the budget in percent>.png`; drawn inside validation, with the averaged weights."""

    def __init__(self, folder: Path, num_samples: int) -> None:
        self.folder, self.num_samples = folder, num_samples

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        drawn = self.num_samples and pl_module.spec.is_drawable
        if not trainer.is_global_zero or trainer.state.fn != "fit" or not drawn:
            return
        torch.manual_seed(0)
        samples = pl_module.sample(self.num_samples).cpu()
        path = self.folder / f"{round(100 * pl_module.progress):03d}.png"
        save_samples(samples, pl_module.spec, path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [str(path)])
