"""The optimisation of all models: steps, clipping, accumulation, non-finite steps, validation, logging, state."""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor, nn

from genarena.options import values
from genarena.options.values import Count, Positive, Share, Whole
from genarena.ranks import exchange, gradients, world
from genarena.spec import Batch
from genarena.training import sharding
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.ema import EMA
from genarena.training.limits import share_done
from genarena.training.means import Means, minimised
from genarena.training.schedule import warmup_cosine

LOG_EVERY = 20  # batches
STATE = ("progress", "batches_seen", "lr_scale", "nonfinite_steps", "nonfinite_in_a_row", "learning_rates")
ADAM = partial(torch.optim.Adam, lr=1e-3)


@dataclass(frozen=True)
class Training:
    """How a model is optimised. Raises TypeError for a schedule that cannot be called with a share of the budget.

    optimizer: makes an optimiser for parameters.
    schedule: maps the used share of the budget to a factor on the learning rate.
    batch_size: examples per batch over all ranks; learning rates do not depend on the number of ranks.
    accumulate: batches per step; their gradients are averaged.
    gradient_clip: largest Euclidean norm of a step's gradient; None: no clipping.
    ema_decay: decay of the averaged weights, which are evaluated; None: the plain weights are evaluated.
    warmup_steps: number of first steps in which the rate rises to the scheduled one, even in a short budget. Adam's first
        steps move every weight by the full rate, however small the gradient is.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = ADAM
    schedule: Callable[[float], float] = warmup_cosine
    batch_size: Count = 128
    accumulate: Count = 1
    gradient_clip: Positive | None = None
    ema_decay: Share | None = None
    warmup_steps: Whole = 0

    def __post_init__(self) -> None:
        values.check_fields(self, "training")
        self.schedule(0.0)  # finds unknown options here, not at the first step


class TrainedModule(LightningModule):
    """A subclass defines the loss and the validation; this class makes the steps.

    Any Lightning trainer can fit it. The learning rate and ramps of losses follow `progress`, the done share of the training.
    The `Budget` callback sets it; without that callback it follows from the trainer's own limits.
    """

    mixed_precision: ClassVar[bool] = False  # True: `loss` itself keeps float32 where autocast would harm
    selection: ClassVar[str | None] = None  # a validation key: keep the weights that minimise it; None: the last
    shardable: ClassVar[bool] = False  # True: `loss` calls layers and never reads their weights, so they may be sharded
    max_epochs: ClassVar[int | None] = None  # passes over the data after which the model learns nothing more

    def __init__(self, training: Training | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = training or Training()
        self.progress = 0.0  # share of the training that is done, in [0, 1]
        self.ramp = 0.0  # share of the training in which the loss still changes; weights are selected only after it
        self.batches_seen = 0
        self.lr_scale = 1.0  # lowered by the divergence guard
        self.nonfinite_steps = 0
        self.nonfinite_in_a_row = 0
        self.learning_rates: dict[str, float] = {}  # at the latest step of each player
        self.lockstep = False  # whether a forward pass needs all ranks at once; set by the sharding strategy
        self._means = Means()
        self._validated: list[tuple[int, dict[str, float]]] = []
        self._has_budget = False

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss` is minimised, the others are named terms."""

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars averaged over the validation set and logged as `val/<name>`."""

    # -- progress -----------------------------------------------------------------------------------------------------

    @property
    def ramped(self) -> float:
        """The done share of the ramp of the loss, in [0, 1]; 1 without a ramp."""
        return min(1.0, self.progress / self.ramp) if self.ramp else 1.0

    @contextmanager
    def final_objective(self) -> Iterator[None]:
        """Inside this context a loss is computed as at the end of training, so that values of different times compare."""
        before, self.progress = self.progress, 1.0
        try:
            yield
        finally:
            self.progress = before

    def on_train_start(self) -> None:
        """Raises ValueError if neither a budget nor the trainer limits the training."""
        self._has_budget = any(isinstance(callback, Budget) for callback in self.trainer.callbacks)
        if not self._has_budget and share_done(self.trainer, 0) is None:
            raise ValueError(
                "Trainer(max_epochs=-1): learning rates follow the share of the training that is done, so it needs an "
                "end: max_epochs, max_steps or max_time"
            )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if not self._has_budget:
            self.progress = share_done(self.trainer, batch_idx)

    # -- steps --------------------------------------------------------------------------------------------------------

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """A `Batch` from what a plain DataLoader gives: a tensor `x`, or a list of `x` and `y`."""
        if isinstance(batch, Tensor):
            return Batch(batch)
        return batch if isinstance(batch, Batch) else Batch(*batch)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        terms = self.loss(batch)
        if (loss := minimised(terms, f"{type(self).__name__}.loss")).requires_grad:
            self.descend(loss, self.optimizers(use_pl_optimizer=True))
        self.after_batch(terms, len(batch.x))

    def descend(self, loss: Tensor, optimizer: Any, player: str = "") -> None:
        """Backward, clip, step. A step is skipped and counted if its loss or gradient is not finite on any rank.

        The gradient's norm before clipping and the learning rate are logged with the prefix `player`.
        """
        self.manual_backward(loss / self.settings.accumulate)
        if (self.batches_seen + 1) % self.settings.accumulate:
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients.average_gradients(parameters)
        found = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = sharding.total_norm(found)
        self._means.add({f"{player}gradient_norm": norm}, 1)
        if self.settings.gradient_clip is not None:
            sharding.clip(found, self.settings.gradient_clip, norm)
        if exchange.any_rank(not torch.isfinite(norm + loss.detach())):
            self.nonfinite_steps += 1
            self.nonfinite_in_a_row += 1
        else:
            self.nonfinite_in_a_row = 0
            self._set_learning_rate(optimizer, player)
            optimizer.step()
        optimizer.zero_grad()

    def _set_learning_rate(self, optimizer: Any, player: str) -> None:
        steps = self.batches_seen // self.settings.accumulate
        rise = min(1.0, (steps + 1) / (self.settings.warmup_steps + 1))
        factor = self.settings.schedule(self.progress) * self.lr_scale * rise
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.learning_rates[f"{player}learning_rate"] = optimizer.param_groups[0]["lr"]

    def after_batch(self, terms: dict[str, Tensor], num_examples: int) -> None:
        """Count the batch; every `LOG_EVERY` batches, log the means of the terms over the examples since the last line."""
        self._means.add(terms, num_examples)
        self.batches_seen += 1
        if self.batches_seen % LOG_EVERY == 1:  # logging costs as much as a small step
            values = self._means.take() | self.learning_rates
            self._log({f"train/{name}": value for name, value in values.items()})

    def _log(self, values: dict[str, float]) -> None:
        """Log values for callbacks, and to the loggers at step `batches_seen`."""
        self.log_dict(values, logger=False)  # Lightning would repeat them at each step
        for logger in self.loggers:
            logger.log_metrics(values | {"progress": self.progress}, self.batches_seen)

    # -- validation ---------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(batch.x):  # an empty batch: other ranks have all examples
            return
        with self.final_objective(), torch.autocast(self.device.type, enabled=False):
            terms = self.validate(batch)
        self._validated.append((len(batch.x), {name: value.item() for name, value in terms.items()}))

    def on_validation_epoch_end(self) -> None:
        """Log means over the examples of all ranks, summed in an order that does not depend on the number of ranks."""
        parts = [self._validated] if self.lockstep else exchange.gathered(self._validated)
        self._validated = []
        blocks = [block for turn in itertools.zip_longest(*parts) for block in turn if block is not None]
        num_examples = sum(size for size, _ in blocks)
        means = {
            f"val/{name}": sum(size * terms[name] for size, terms in blocks) / num_examples
            for name in (blocks or [(0, {})])[0][1]
        }
        if not self.trainer.sanity_checking:
            self._log(means)

    # -- optimisers, callbacks, state ---------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers = [
            build(sharding.by_kind(parameters))
            for build, parameters in self.optimizer_groups()
            if any(p.requires_grad for p in parameters)
        ]
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        return optimizers

    def optimizer_groups(self) -> list[tuple[Callable, list[nn.Parameter]]]:
        return [(self.settings.optimizer, list(self.parameters()))]

    def configure_callbacks(self) -> list[Callback]:
        """An `EMA`, if the model has an `ema_decay` and the trainer has no EMA."""
        averages = any(isinstance(callback, EMA) for callback in self.trainer.callbacks)
        wanted = self.settings.ema_decay and not averages
        return [EMA(self.settings.ema_decay, self.settings.accumulate)] if wanted else []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["arena"] = {name: getattr(self, name) for name in STATE}
        checkpoint["means"] = self._means.states()
        checkpoint["ranks"] = exchange.differing(
            {name: buffer for name, buffer in self.named_buffers() if name in checkpoint["state_dict"]}
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """On the same number of ranks each gets back its own buffers (chains, statistics); else all get those of rank 0."""
        own = checkpoint.get("ranks", [])
        if len(own) == world.size():
            for state in ("state_dict", "current_model_state"):
                checkpoint.get(state, {}).update(own[world.rank()])
        for name, value in checkpoint["arena"].items():
            setattr(self, name, value)
        self._means.load(checkpoint["means"])
