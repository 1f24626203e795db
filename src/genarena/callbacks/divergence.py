"""What to do about non-finite numbers: leave the step out, then go back, then give up. Every occurrence is counted."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from genarena.callbacks.checkpoints import Checkpoints, load_checkpoint
from genarena.errors import Diverged


class DivergenceGuard(Callback):
    """The model leaves a non-finite step out by itself. After `max_skips` of them in a row the weights and optimisers of
    the last good checkpoint come back with the learning rate times `lr_factor`; after `max_rollbacks` of those, or when
    there is no checkpoint to go back to, training ends with `Diverged`.
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

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        if pl_module.nonfinite_in_a_row <= self.max_skips:
            return
        counted = f"{pl_module.nonfinite_steps} non-finite steps, {self.rollbacks} rollbacks"
        if self.rollbacks >= self.max_rollbacks or not self.checkpoints.last.exists():
            raise Diverged(f"training diverged at {pl_module.progress:.0%} of the budget ({counted})")
        self.rollbacks += 1
        self._roll_back(trainer, pl_module)
        rank_zero_info(
            f"non-finite loss ({counted}): back to the last checkpoint, learning rate x {pl_module.lr_scale:g}"
        )

    def _roll_back(self, trainer: Trainer, pl_module: LightningModule) -> None:
        checkpoint = load_checkpoint(self.checkpoints.last)
        pl_module.load_state_dict(checkpoint.get("current_model_state", checkpoint["state_dict"]))
        for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(state)
        pl_module.lr_scale *= self.lr_factor
        pl_module.nonfinite_in_a_row = 0

    def state_dict(self) -> dict[str, Any]:
        return {"rollbacks": self.rollbacks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rollbacks = state_dict["rollbacks"]
