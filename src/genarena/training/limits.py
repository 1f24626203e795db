"""The progress of a Lightning trainer, measured by its own limits; learning-rate schedules follow it."""

import math

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer

from genarena.ranks import exchange


def share_done(trainer: Trainer, batch_idx: int) -> float | None:
    """The share of the training that is done before batch `batch_idx` of an epoch, in [0, 1]; None without any limit.

    `max_steps`, `max_epochs` and `max_time` each give a share. The largest counts, because the first limit reached ends
    training. Lightning counts each call of an optimiser as a step; a GAN makes several per batch.
    """
    shares = []
    if trainer.max_steps is not None and trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches = trainer.num_training_batches  # infinite for a stream of unknown length
        part = batch_idx / batches if batches and math.isfinite(batches) else 0.0
        shares.append((trainer.current_epoch + part) / trainer.max_epochs)
    for timer in trainer.callbacks:
        if isinstance(timer, Timer) and timer.time_remaining() is not None:
            elapsed = timer.time_elapsed()
            shares.append(exchange.largest(elapsed / max(elapsed + timer.time_remaining(), 1e-9)))
    return min(1.0, max(shares)) if shares else None
