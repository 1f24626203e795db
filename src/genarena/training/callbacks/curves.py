"""Curves without a kink after a resume, on disk before a checkpoint is written."""

from pytorch_lightning import Callback, LightningModule, Trainer


class Curves(Callback):
    """The model logs its numbers itself. After a resume the trackers go on where the checkpoint was."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for tracker in trainer.loggers:
            tracker.rewind(pl_module.batches_seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        for tracker in trainer.loggers:
            tracker.save()
