"""Measures samples at each validation: a curve for models without a likelihood, and what chooses their weights."""

from collections.abc import Callable

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.ranks import exchange
from genarena.runs import interruption

KEY = "val/fd_domain"
Measure = Callable[[LightningModule], float | None]  # the value of a model in eval mode; None where it has none


class SampleQuality(Callback):
    """Logs `val/fd_domain` within each validation, with the averaged weights. The random state of training does not change.

    measure: makes the value, the same on every rank. A model whose validation gives bits/dim is measured for the curve only:
    not where nobody logs it.
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        logged, judged = exchange.any_rank(bool(trainer.loggers)), exchange.any_rank(pl_module.gives("bits_per_dim"))
        if judged and not logged:
            return
        with interruption.allowed(trainer.world_size == 1):  # may take minutes
            value = self.measure(pl_module)
        if value is not None:
            pl_module.note({KEY: value})
