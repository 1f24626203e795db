"""Training of one model on one data set to the end of a budget, and the choice of the weights that are evaluated.

`train.py` and `genarena.api` both train through `Fitting`: there is no second training loop.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

from genarena.data.base import ArenaDataModule
from genarena.errors import Untrusted
from genarena.ranks import exchange, threads
from genarena.runs import interruption
from genarena.runs.folder import load_weights
from genarena.runs.status import Status
from genarena.tracking.base import Tracker
from genarena.training import sharding
from genarena.training.callbacks.budget import NEVER, Budget
from genarena.training.callbacks.checkpoints import Checkpoints, SealedCheckpointIO
from genarena.training.callbacks.curves import Curves
from genarena.training.callbacks.divergence import DivergenceGuard
from genarena.training.callbacks.ema import EMA
from genarena.training.callbacks.interruption import Interruption
from genarena.training.callbacks.limits import Limits
from genarena.training.callbacks.machine import Machine
from genarena.training.callbacks.progress import ProgressBar
from genarena.training.callbacks.pulse import Pulse
from genarena.training.callbacks.random_state import RandomState
from genarena.training.callbacks.sample_grid import SampleGrid
from genarena.training.callbacks.sample_quality import SampleQuality
from genarena.training.callbacks.threads import Threads
from genarena.training.module import TrainedModule
from genarena.training.trainer import how_trained, trainer


@dataclass(frozen=True)
class Plan:
    """How a model is trained: the parts of a composed configuration that training reads.

    budget: `minutes`, `examples` and `flops` (training ends when the first is used up; others are None), and `validations`.
    trainer, callbacks: as in conf/trainer and conf/callbacks.
    seed: seed of the random numbers of training.
    extended: earlier limits of this run's budget, see `callbacks.limits`.
    """

    budget: Mapping[str, Any]
    trainer: Mapping[str, Any]
    callbacks: Mapping[str, Any]
    seed: int
    extended: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> "Plan":
        """The plan of a composed configuration."""
        return cls(**{part.name: resolved[part.name] for part in fields(cls) if part.name in resolved})


@dataclass(frozen=True)
class Observers:
    """Receivers of information about the training. None of them changes what is learnt, only `quality` which weights are taken.

    title: the title of the progress bar.
    status: receives the progress.
    trackers: receive losses, learning rates and validation values.
    pictures: draws samples at each validation; None: no pictures.
    quality: measures samples at each validation; None: they choose no weights, and have no curve.
    """

    title: str
    status: Status = field(default_factory=lambda: Status(None))
    trackers: list[Tracker] = field(default_factory=list)
    pictures: SampleGrid | None = None
    quality: SampleQuality | None = None


class Fitting:
    """The training of one model: the model, its data, the Lightning trainer and its callbacks."""

    def __init__(
        self, model: TrainedModule, data: ArenaDataModule, plan: Plan, folder: Path, observers: Observers
    ) -> None:
        """data: a data set that is set up. folder: the folder of checkpoints."""
        self.model, self.data, self.plan = model, data, plan
        limits = plan.budget
        self.budget = Budget(limits["minutes"], self._most_examples(), limits["validations"], limits["flops"])
        self.checkpoints = Checkpoints(folder)
        self.threads = Threads(threads.keeps_number(plan.budget))
        self.machine = Machine(observers.title, observers.status, plan.budget["minutes"])
        self._trainer = trainer(
            plan.trainer,
            model,
            SealedCheckpointIO(),
            default_root_dir=folder.parent,
            callbacks=self._callbacks(observers),
            logger=observers.trackers,
            val_check_interval=NEVER,  # `Budget` decides
        )

    def fit(self, resume: Path | None = None) -> None:
        """Train to the end of the budget. resume: a checkpoint to start from.

        Raises Diverged if non-finite numbers remain after rollbacks; Interrupted or KeyboardInterrupt if a signal asks the
        process to end.
        """
        if self.budget.examples == 0:  # the model has nothing to learn
            return
        try:
            with interruption.held():
                data = self.model.training_data(self.data, self._trainer.strategy.root_device)
                self._trainer.fit(self.model, datamodule=data, ckpt_path=resume)
        except SystemExit:  # how Lightning ends after Ctrl-C
            raise KeyboardInterrupt from None

    def choose(self, build_again: Callable[[], TrainedModule] | None = None) -> tuple[TrainedModule, str]:
        """The trained model in eval mode on its device, the same on every rank, and a description of its weights.

        The weights are the best on validation by the objective of a model whose loss is no bound, else by bits/dim, by
        fd_domain, and else the last; they are averaged if the model has an EMA. build_again: makes an untrained copy, needed if
        the model is sharded.
        """
        model = self._whole(build_again()) if self.model.lockstep else self.model
        self._by = self.checkpoints.best_by
        weights = exchange.from_zero(lambda: self._load_best(model))
        exchange.same_state(model.to(self._trainer.strategy.root_device))
        return model.eval(), weights

    @property
    def how(self) -> dict[str, Any]:
        """The entries `precision` and `trainer` of a row."""
        precision = str(self._trainer.precision)
        return {"precision": precision, "trainer": how_trained(self.plan.trainer, precision)}

    @property
    def cost(self) -> dict[str, Any]:
        """The cost of training so far: examples of all ranks, seconds without validations and start-up."""
        return {
            "examples_seen": self.budget.examples_seen,
            "train_seconds": round(self.budget.seconds, 3),
            "train_seconds_by_threads": self.threads.seconds,
        }

    @property
    def selected(self) -> dict[str, Any]:
        """The entry `selected` of a row: what chose the weights, and the share of the budget at which they were taken."""
        by = self._by
        share = self.model.progress if by == "last" else self.checkpoints.best_progress
        return {"by": by, "share": round(share, 6)}

    @property
    def flops_per_example(self) -> float | None:
        """FLOPs of training per example; None if the budget does not count them."""
        return self.budget.flops_per_example

    @property
    def nonfinite(self) -> dict[str, Any]:
        """Number of steps skipped for non-finite numbers, and the factor on the learning rate after rollbacks."""
        return {"skipped_steps": self.model.nonfinite_steps, "learning_rate_scale": self.model.lr_scale}

    def _most_examples(self) -> int | None:
        """The budget in examples; at most `max_epochs` passes over the data for a model with such a limit."""
        examples = self.plan.budget["examples"]
        if self.model.max_epochs is None:
            return examples
        size, batch_size = self.data.train.size, self.data.batch_size
        enough = self.model.max_epochs * (size // batch_size or 1) * min(batch_size, size)  # whole batches only
        return min(examples or enough, enough)

    def _callbacks(self, observers: Observers) -> list[Callback]:
        """The callbacks, in the order in which Lightning calls them; the order matters."""
        options, settings = self.plan.callbacks, self.model.settings
        pulse = Pulse(observers.status, self.budget, self.plan.trainer["timeout"])
        self.checkpoints.saved = pulse.saved
        chain: list[Callback] = [RandomState(self.plan.seed)]  # first: it seeds before others draw
        chain += [observers.pictures] if observers.pictures else []  # draws while the averaged weights are in place
        chain += [observers.quality] if observers.quality else []
        chain += [EMA.of(settings)] if settings.averages else []
        chain += [Curves(), Limits(self.plan.budget, self.plan.extended or [])]
        limits = {name: options[name] for name in ("max_skips", "max_rollbacks", "lr_factor")}
        chain += [DivergenceGuard(self.checkpoints, **limits), self.checkpoints]
        chain += [ProgressBar(observers.title, self.budget)] if options["progress"] else []
        chain += [self.machine, self.budget]  # after the others, so that the clock does not count them
        chain += [pulse, Interruption(self.checkpoints, self.budget)]  # last: its checkpoint has all their state
        return [*chain, self.threads]

    def _whole(self, fresh: TrainedModule) -> TrainedModule:
        """The sharded model as plain tensors on the CPU. The weights alone fit into memory; their training did not."""
        fresh.load_state_dict(sharding.whole(self.model.state_dict()))
        fresh.batches_seen = self.model.batches_seen
        return fresh

    def _load_best(self, model: TrainedModule) -> str:
        kind = model.settings.averages or "plain"
        if self._by == "last":
            return f"{kind}, last"
        try:
            load_weights(model, self.checkpoints.best)
        except Untrusted as error:
            print(f"warning: {error}; the last weights are taken instead", file=sys.stderr, flush=True)
            self._by = "last"
            return f"{kind}, last (best.ckpt was damaged)"
        return f"{kind}, best {self._by} (at {self.checkpoints.best_progress:.0%} of the budget)"
