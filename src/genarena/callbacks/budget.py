"""Ends training when the budget is used, and tells the model how much of it is."""

import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class Budget(Callback):
    """Minutes of training (validation, checkpoints and start-up not counted) or examples seen, whichever ends first."""

    def __init__(self, minutes: float | None, examples: int | None) -> None:
        if minutes is None and examples is None:
            raise ValueError("a budget needs minutes, examples, or both")
        self.minutes, self.examples = minutes, examples
        self.seconds, self.examples_seen = 0.0, 0
        self._clock = 0.0

    @property
    def share(self) -> float:
        """How much of the budget is used, in [0, 1]."""
        by_time = self.seconds / (60.0 * self.minutes) if self.minutes else 0.0
        by_examples = self.examples_seen / self.examples if self.examples else 0.0
        return min(1.0, max(by_time, by_examples))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clock = time.perf_counter()
        if self.share >= 1.0:  # a finished run was resumed
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clock = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now
        self.examples_seen += len(batch.x) * trainer.world_size
        progress = self.share
        if trainer.world_size > 1:  # clocks differ; all ranks must stop at the same batch
            shared = torch.tensor(progress, device=pl_module.device)
            torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
            progress = float(shared)
        pl_module.progress = progress
        if progress >= 1.0:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "examples_seen": self.examples_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.examples_seen = state_dict["seconds"], state_dict["examples_seen"]
