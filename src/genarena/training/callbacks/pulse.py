"""Writes the progress of a run to `status.json`, and watches for a hanging process."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.runs.status import Status
from genarena.training.callbacks.budget import Budget


class Pulse(Callback):
    """timeout: seconds without a step after which the process counts as hanging; None: never."""

    def __init__(self, status: Status, budget: Budget, timeout: float | None) -> None:
        self.status, self.budget, self.timeout = status, budget, timeout

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.status.watch(self.timeout)
        self.status.write(state="training")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.status.facts |= {"progress": round(pl_module.progress, 6), "examples_seen": self.budget.examples_seen}
        self.status.moved()

    def on_validation_batch_end(self, *arguments: Any) -> None:
        self.status.moved()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.status.moved()

    def saved(self) -> None:
        """Note that a checkpoint of all examples seen so far has been written."""
        self.status.facts["checkpoint"] = self.budget.examples_seen

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.status.watch(None)
