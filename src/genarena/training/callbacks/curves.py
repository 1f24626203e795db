"""Keeps the logged curves consistent with the checkpoints, so that a resumed run continues them without a jump."""

from pytorch_lightning import Callback, LightningModule, Trainer


class Curves(Callback):
    """After a resume, rewinds the trackers to the checkpoint; saves them at each validation, before a checkpoint is written.
    The model itself logs the values."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for tracker in trainer.loggers:
            tracker.rewind(pl_module.batches_seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        for tracker in trainer.loggers:
            tracker.save()
