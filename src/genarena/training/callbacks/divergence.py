"""Handles non-finite numbers: skip the step, then go back to a checkpoint, then give up. Every occurrence is counted."""

import sys
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.errors import Diverged
from genarena.runs import checkpoint
from genarena.training import sharding
from genarena.training.callbacks.checkpoints import Checkpoints
from genarena.training.callbacks.ema import EMA


class DivergenceGuard(Callback):
    """What happens in a run with numbers that are not finite.

    - In a single step: the model skips it.
    - In more than `max_skips` steps in a row, or in a value or a weight at validation: a rollback. The weights (plain and
      averaged) and the optimisers of the last sound checkpoint are restored, and the learning rate is multiplied by
      `lr_factor`. A validation before the first checkpoint only lowers the rate.
    - Training ends with `Diverged` after `max_rollbacks` rollbacks, if more than `max_skips` steps are skipped before the
      first checkpoint, and if the validation at the end of the budget is not finite.
    """

    def __init__(
        self, checkpoints: Checkpoints, max_skips: int = 10, max_rollbacks: int = 3, lr_factor: float = 0.5
    ) -> None:
        self.checkpoints, self.max_skips, self.max_rollbacks, self.lr_factor = (
            checkpoints,
            max_skips,
            max_rollbacks,
            lr_factor,
        )
        self.rollbacks = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.nonfinite_in_a_row > self.max_skips:
            self._go_back(trainer, pl_module, "the loss or its gradient", needs_checkpoint=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and (name := self.checkpoints.nonfinite(trainer, pl_module)):
            self._go_back(trainer, pl_module, name, needs_checkpoint=pl_module.progress >= 1.0)

    def _go_back(self, trainer: Trainer, pl_module: LightningModule, what: str, needs_checkpoint: bool) -> None:
        counted = f"{what} is not finite; {pl_module.nonfinite_steps} non-finite steps, {self.rollbacks} rollbacks"
        newest = self.checkpoints.newest()
        if self.rollbacks >= self.max_rollbacks or (needs_checkpoint and (newest is None or pl_module.progress >= 1.0)):
            raise Diverged(f"training diverged at {pl_module.progress:.0%} of the budget ({counted})")
        self.rollbacks += 1
        pl_module.lr_scale *= self.lr_factor
        pl_module.nonfinite_in_a_row = 0
        if newest is not None:
            self._restore(trainer, pl_module, checkpoint.load(newest))
        where = "back to the last checkpoint" if newest else "there is no checkpoint to go back to"
        if trainer.is_global_zero:
            print(f"warning: {counted}: {where}, learning rate x {pl_module.lr_scale:g}", file=sys.stderr, flush=True)

    @staticmethod
    def _restore(trainer: Trainer, pl_module: LightningModule, stored: dict[str, Any]) -> None:
        sharding.load(pl_module, stored.get("current_model_state", stored["state_dict"]))
        for callback in trainer.callbacks:
            if isinstance(callback, EMA):
                callback.restore(stored)
        for optimizer, state in zip(trainer.optimizers, stored["optimizer_states"], strict=True):
            sharding.load_optimizer(optimizer, state)

    def state_dict(self) -> dict[str, Any]:
        return {"rollbacks": self.rollbacks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rollbacks = state_dict["rollbacks"]
