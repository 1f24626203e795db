"""Ends training when the budget is used up, and tells the model which share of it is used."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.errors import UserError
from genarena.ranks import exchange
from genarena.training import flops
from genarena.training.validations import passed

NEVER = 10**12  # interval between validations, in batches


class Budget(Callback):
    """Minutes of training (without validation, checkpoints and start-up), examples seen or FLOPs of training, whichever is
    used up first.

    minutes, examples, flops: at least one of them; examples and FLOPs count over all ranks. The FLOPs of an example are counted
        once, in the first batch (`genarena.training.flops`).
    validations: number of validations at equal shares of the budget; earlier ones come before them, see
        `genarena.training.validations`. One that falls into a group of accumulated batches comes at its end, because a
        validation clears gradients. None leaves it to the trainer.
    Raises ValueError if there is no limit, and UserError for FLOPs alone if the training of the model has none.
    """

    def __init__(
        self, minutes: float | None, examples: int | None, validations: int | None = None, flops: float | None = None
    ) -> None:
        if minutes is None and examples is None and flops is None:
            raise ValueError("a budget needs minutes, examples or flops")
        self.minutes, self.examples, self.validations, self.flops = minutes, examples, validations, flops
        self.seconds, self.examples_seen = 0.0, 0
        self.flops_per_example: float | None = None  # counted only for a budget in FLOPs
        self.due = 0  # batches seen when the last validation was due
        self._clock = 0.0
        self._passed = 0  # shares of the budget that are validated or about to be

    @property
    def share(self) -> float:
        """The used share of the budget, in [0, 1]."""
        by_time = self.seconds / (60.0 * self.minutes) if self.minutes else 0.0
        by_examples = self.examples_seen / self.examples if self.examples else 0.0
        by_flops = self.examples_seen * (self.flops_per_example or 0.0) / self.flops if self.flops else 0.0
        return min(1.0, max(by_time, by_examples, by_flops))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clock = time.perf_counter()
        self._passed = passed(self._progress(), self.validations or 1)
        if self.share >= 1.0:  # a finished run was resumed
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.flops is None or self.flops_per_example is not None:
            return
        self.flops_per_example = exchange.gathered(flops.per_example(pl_module, batch))[0]
        if not self.flops_per_example and not self.minutes and not self.examples:
            name = type(pl_module).__name__
            raise UserError(
                f"budget.flops={self.flops:g}: the training of {name} has no FLOPs that are counted; give it budget.examples"
            )
        self._clock = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clock = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now
        self.examples_seen += len(batch.x) * trainer.world_size
        pl_module.progress = self._progress()
        if self.validations:
            self._validate(trainer, pl_module)
        if pl_module.progress >= 1.0:
            trainer.should_stop = True

    def _progress(self) -> float:
        """The ranks' clocks differ, but all must validate and stop at the same batch."""
        return exchange.largest(self.share) if self.minutes else self.share

    def _validate(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the trainer validate after this batch if it is time."""
        now = passed(pl_module.progress, self.validations)
        due = now > self._passed and not pl_module.batches_seen % pl_module.settings.accumulate
        trainer.val_check_batch = 1 if due else NEVER
        if due:
            self._passed, self.due = now, pl_module.batches_seen

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("seconds", "examples_seen", "due", "flops_per_example")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)
