"""Gives every batch random numbers of its own, so that a resumed run draws those of the uninterrupted one."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.ranks import seeds, world


class RandomState(Callback):
    """The global generators start anew at each batch: with (seed, batch number, rank) in training, which gives no two
    ranks the same noise, and with the number of the block in validation, whichever rank has it.

    Nothing needs to be saved for a run to go on exactly, on as many ranks as before. On another number of ranks the
    batches are the same and the noise differs.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(seeds.derived(self.seed, seeds.NOISE, pl_module.batches_seen, world.rank()))

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        block = batch_idx if pl_module.lockstep else batch_idx * world.size() + world.rank()
        torch.manual_seed(seeds.derived(seeds.VALIDATION, block))
