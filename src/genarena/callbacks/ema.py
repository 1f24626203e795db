"""Exponential moving average of the weights, counted in batches."""

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """theta_ema <- d theta_ema + (1 - d) theta with d = min(decay, (1 + n) / (10 + n)) after the n-th update.

    Lightning's own EMA counts optimiser steps, of which a GAN makes several per batch. Buffers are copied, not averaged.
    """

    def __init__(self, decay: float, accumulate: int = 1) -> None:
        self.accumulate = accumulate

        def update(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
            num = int(num_averaged)
            torch._foreach_lerp_(averaged, current, 1.0 - min(decay, (1.0 + num) / (10.0 + num)))

        super().__init__(use_buffers=False, multi_avg_fn=update)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        if pl_module.nonfinite_in_a_row == 0 and pl_module.batches_seen % self.accumulate == 0:
            self._average_model.update_parameters(pl_module)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return False  # updates are made above; nothing more at the end of an epoch
