"""Makes a resumed run draw the random numbers of the uninterrupted one, and keeps validation from drawing any of them."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class RandomState(Callback):
    """The generators' state is put aside when validation starts and restored before the next training batch.

    A checkpoint is written inside a validation, so the state that is put aside is the one to save; a resumed run
    restores it before its first batch, after everything at start-up that draws numbers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.training_state: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_rank:  # ranks must not draw the same noise
            self.training_state = None
            torch.manual_seed(
                (self.seed + 1) * 1_000_003 + pl_module.batches_seen * trainer.world_size + trainer.global_rank
            )
        elif self.training_state is None:
            torch.manual_seed(self.seed + 1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.training_state is None:  # else a resumed run validates before its first batch
            self.training_state = _capture()
        torch.manual_seed(0)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.training_state is not None:
            torch.set_rng_state(self.training_state["cpu"])
            if self.training_state["cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(self.training_state["cuda"])
            self.training_state = None

    def state_dict(self) -> dict[str, Any]:
        return self.training_state or _capture()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.training_state = state_dict


def _capture() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}
