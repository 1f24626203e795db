"""What validation found, to every tracker at the same step; and curves without a kink after a resume."""

from pytorch_lightning import Callback, LightningModule, Trainer


class Curves(Callback):
    """Numbers of training are logged by the model itself, as it goes; all are on disk before a checkpoint is written."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for tracker in trainer.loggers:
            tracker.rewind(pl_module.batches_seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        found = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        for tracker in trainer.loggers:
            tracker.log_metrics(found | {"progress": pl_module.progress}, pl_module.batches_seen)
            tracker.save()
