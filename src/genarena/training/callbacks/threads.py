"""Adapts the number of threads to the load of the machine during training."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.ranks.threads import Follower


class Threads(Callback):
    """keep: do not change the number of threads. seconds: number of threads -> seconds trained with it."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self._follower: Follower | None = None

    @property
    def seconds(self) -> dict[str, float]:
        counted = self._follower.seconds if self._follower else {}
        return {str(number): round(seconds, 3) for number, seconds in sorted(counted.items())}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follower = Follower()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.keep:
            self._follower.look()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follower.rest()
