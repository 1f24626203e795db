"""Seeds the generators at every batch, so that a resumed run draws the same random numbers as an uninterrupted one."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.ranks import seeds, world


class RandomState(Callback):
    """Seeds the global generators at each batch. In training the seed is made from (seed, batch number, rank), so that every
    rank has different noise. In validation it is made from the number of the block, whichever rank has the block.

    No random state is saved: a run resumes exactly on the same number of ranks. On another number of ranks the batches are
    the same, but the noise differs.
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
