"""Writes a last checkpoint when a signal ends the run, and makes up for an interrupted validation after a resume."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.ranks import exchange
from genarena.runs import interruption
from genarena.runs.interruption import Interrupted
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.checkpoints import Checkpoints


class Interruption(Callback):
    """A signal during a training step takes effect at the end of the step, after all of its accumulated batches. A signal
    during a validation interrupts it, and the resumed run repeats that validation. With several processes all stop after the
    same step.
    """

    def __init__(self, checkpoints: Checkpoints, budget: Budget) -> None:
        """budget: decides when to validate."""
        self.checkpoints, self.budget = checkpoints, budget
        self._window: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        interruption.handle()
        if self._owes_a_validation(pl_module):
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop.restarting = False
            trainer.validating = True
            loop.run()
            trainer.training = True

    def _owes_a_validation(self, pl_module: LightningModule) -> bool:
        if not pl_module.batches_seen or self.checkpoints.validated == pl_module.batches_seen:
            return False
        return self.budget.due == pl_module.batches_seen or pl_module.progress >= 1.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        number = int(exchange.largest(interruption.pending() or 0))
        if number and not pl_module.batches_seen % pl_module.settings.accumulate:  # a checkpoint holds no gradients
            self._save(trainer, pl_module)
            raise Interrupted(number)

    def on_validation_batch_start(self, trainer: Trainer, *arguments: Any) -> None:
        self._window = interruption.allowed(trainer.world_size == 1)
        self._window.__enter__()

    def on_validation_batch_end(self, *arguments: Any) -> None:
        self._window.__exit__(None, None, None)
        self._window = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._window is not None:
            self.on_validation_batch_end()
        if isinstance(exception, Interrupted) and trainer.validating and trainer.world_size == 1:
            self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.checkpoints.nonfinite(trainer, pl_module):
            self.checkpoints.save(trainer)
