"""Exponential moving average of the weights, counted in batches."""

import itertools
import math
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging

from genarena.training.sharding import load, local


class EMA(WeightAveraging):
    """theta_ema <- d theta_ema + (1 - d) theta with d = min(decay, (1 + n) / (10 + n)) after the n-th update.

    half_life: examples, over all ranks, after which a weight counts half; then decay = 2^(-examples of a step / half_life),
    which does not depend on the batch size (Karras et al. 2024, arXiv 2312.02696, use examples too).
    ramp: the half-life is at most this share of the examples seen so far (Karras et al. 2020, arXiv 2006.06676, their code).
    Lightning's own EMA counts optimiser steps, and a GAN makes several per batch. Buffers are copied, not averaged.
    The update does not use `AveragedModel`'s, which groups all tensors anew at every step.
    """

    def __init__(
        self, decay: float | None, accumulate: int = 1, half_life: float | None = None, ramp: float | None = None
    ) -> None:
        super().__init__(use_buffers=False)
        self.decay, self.accumulate, self.half_life, self.ramp = decay, accumulate, half_life, ramp
        self._swapped = False  # whether the model has the averaged weights

    @classmethod
    def of(cls, settings: Any) -> "EMA":
        """settings: a `Training` with `ema_decay` or `ema_half_life`."""
        return cls(settings.ema_decay, settings.accumulate, settings.ema_half_life, settings.ema_ramp)

    @property
    def model(self) -> torch.nn.Module:
        """The averaged model."""
        return self._average_model.module

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        learnt = [weight.requires_grad for weight in pl_module.parameters()]  # frozen weights are the same in both
        self._parameters = tuple(
            [local(weight.data) for weight in itertools.compress(model.parameters(), learnt)]
            for model in (self.model, pl_module)
        )
        averaged, current, saved = (
            dict(self.model.named_buffers()),
            dict(pl_module.named_buffers()),
            pl_module.state_dict(),
        )
        self._buffers = [(averaged[name], current[name]) for name in current if name in saved]  # others are constants

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.nonfinite_in_a_row or pl_module.batches_seen % self.accumulate:
            return
        num = int(self._average_model.n_averaged)
        decay = self.decay
        if self.half_life is not None:
            half_life = min(self.half_life, math.inf if self.ramp is None else self.ramp * pl_module.examples_seen)
            decay = 0.5 ** (len(batch.x) * trainer.world_size * self.accumulate / half_life)
        decay = min(decay, (1.0 + num) / (10.0 + num)) if num else 0.0
        torch._foreach_lerp_(*self._parameters, 1.0 - decay)
        for averaged, current in self._buffers:
            averaged.copy_(current)
        self._average_model.n_averaged += 1

    def _swap_models(self, pl_module: LightningModule) -> None:
        super()._swap_models(pl_module)
        self._swapped = not self._swapped

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._swapped:  # a validation was interrupted
            self._swap_models(pl_module)

    @property
    def averaged(self) -> dict[str, Any]:
        """The state dict of the averaged model."""
        return self._average_model.module.state_dict() if self._average_model is not None else {}

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Restore the averages of a checkpoint."""
        load(self.model, checkpoint["state_dict"])
        self._average_model.n_averaged.copy_(checkpoint["averaging_state"]["n_averaged"])

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return False  # `on_train_batch_end` makes all updates
