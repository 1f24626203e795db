"""One line of progress: the used share of the budget, examples per second, the newest values."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from genarena.training.callbacks.budget import Budget


class ProgressBar(Callback):
    """A progress bar on a terminal; one line per validation otherwise (in a file, in CI)."""

    def __init__(self, title: str, budget: Budget) -> None:
        self.title, self.budget = title, budget
        self.console = Console(stderr=True)
        self._bar: Progress | None = None
        self._drawn = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(30),
                TextColumn("{task.percentage:3.0f}%"),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(self.title, total=1.0, numbers="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar and (time.monotonic() - self._drawn > 0.25 or pl_module.progress >= 1.0):
            self._drawn = time.monotonic()
            self._bar.update(self._task, completed=pl_module.progress, numbers=self._numbers(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and not self._bar and trainer.state.fn == "fit":
            print(
                f"{self.title} {pl_module.progress:4.0%}  {self._numbers(trainer)}", file=self.console.file, flush=True
            )

    def _numbers(self, trainer: Trainer) -> str:
        rate = self.budget.examples_seen / max(self.budget.seconds, 1e-9)
        shown = [f"{rate:,.0f} examples/s"]
        metrics = trainer.callback_metrics
        for key in ("train/loss", "train/discriminator_loss", "val/loss", "val/bits_per_dim", "val/fd_domain"):
            if key in metrics:
                shown.append(f"{key} {float(metrics[key]):.4g}")
        return "  ".join(shown)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
