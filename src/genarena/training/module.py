"""The training of all models: its settings, progress, validation and state. Its steps are in `genarena.training.steps`."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from torch import Tensor, nn

from genarena.options import values
from genarena.options.values import Count, Positive, Share, Whole
from genarena.ranks import exchange, world
from genarena.spec import Batch
from genarena.training.callbacks.budget import Budget
from genarena.training.callbacks.ema import EMA
from genarena.training.limits import share_done
from genarena.training.means import mean_over
from genarena.training.schedule import warmup_cosine
from genarena.training.steps import Steps

COUNTS = ("batches_seen", "examples_seen", "nonfinite_steps", "nonfinite_in_a_row")
STATE = ("progress", *COUNTS, "lr_scale", "sound", "learning_rates")
ADAM = partial(torch.optim.Adam, lr=1e-3)


@dataclass(frozen=True)
class Training:
    """How a model is optimised. Raises TypeError for a schedule that cannot be called with a share of the budget, and
    ValueError for both `ema_decay` and `ema_half_life`, and for `ema_ramp` without the latter.

    optimizer: makes an optimiser for parameters.
    schedule: maps the used share of the budget to a factor on the learning rate.
    batch_size: examples per batch over all ranks; learning rates do not depend on the number of ranks.
    accumulate: batches per step; their gradients are averaged.
    gradient_clip: largest Euclidean norm of a step's gradient; None: no clipping.
    ema_decay: decay per step of the averaged weights, which are evaluated. ema_half_life: the same, given as the number of
        examples after which a weight counts half. Without either the plain weights are evaluated. ema_ramp: the half-life is at
        most this share of the examples seen so far.
    warmup_steps: number of first steps in which the rate rises to the scheduled one, even in a short budget. Adam's first
        steps move every weight by the full rate, however small the gradient is.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = ADAM
    schedule: Callable[[float], float] = warmup_cosine
    batch_size: Count = 128
    accumulate: Count = 1
    gradient_clip: Positive | None = None
    ema_decay: Share | None = None
    ema_half_life: Positive | None = None
    ema_ramp: Positive | None = None
    warmup_steps: Whole = 0

    def __post_init__(self) -> None:
        values.check_fields(self, "training")
        self.schedule(0.0)  # finds unknown options here, not at the first step
        if self.ema_decay is not None and self.ema_half_life is not None:
            both = f"ema_decay={self.ema_decay:g}, ema_half_life={self.ema_half_life:g}"
            raise ValueError(f"{both}: expected at most one, the other null")
        if self.ema_ramp is not None and self.ema_half_life is None:
            raise ValueError(f"ema_ramp={self.ema_ramp:g}: limits ema_half_life, which is null")

    @property
    def averages(self) -> str | None:
        """A description of the averaged weights; None without them."""
        if self.ema_half_life:
            ramp = f", ramp {self.ema_ramp:g}" if self.ema_ramp else ""
            return f"EMA half-life {self.ema_half_life:g}{ramp}"
        return f"EMA {self.ema_decay:g}" if self.ema_decay else None


class TrainedModule(Steps):
    """A subclass defines the loss, or several players, and the validation; everything else is done here.

    Any Lightning trainer can fit it. The learning rate and ramps of losses follow `progress`, the done share of the training.
    The `Budget` callback sets it; without that callback it follows from the trainer's own limits.
    """

    mixed_precision: ClassVar[bool] = False  # True: `loss` itself keeps float32 where autocast would harm
    shardable: ClassVar[bool] = False  # True: `loss` calls layers and never reads their weights, so they may be sharded
    max_epochs: ClassVar[int | None] = None  # passes over the data after which the model learns nothing more

    def __init__(self, training: Training | None = None) -> None:
        super().__init__(training or Training())
        self.ramp = 0.0  # share of the training in which the loss still changes; weights are selected only after it
        self.lockstep = False  # whether a forward pass needs all ranks at once; set by the sharding strategy
        self.found: dict[str, float] = {}  # the values of the newest validation
        self._validated: list[tuple[int, dict[str, float]]] = []
        self._has_budget = False

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars averaged over the validation set and logged as `val/<name>`."""

    def training_data(self, data: Any, device: torch.device) -> Any:
        """The data set that training reads. A model that learns from codes of the data has them made here, once."""
        return data

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

    # -- batches ------------------------------------------------------------------------------------------------------

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """A `Batch` from what a plain DataLoader gives: a tensor `x`, or a list of `x` and `y`."""
        if isinstance(batch, Tensor):
            return Batch(batch)
        return batch if isinstance(batch, Batch) else Batch(*batch)

    # -- validation ---------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self.found = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(batch.x):  # an empty batch: other ranks have all examples
            return
        with self.final_objective(), torch.autocast(self.device.type, enabled=False):
            terms = self.validate(batch)
        self._validated.append((len(batch.x), {name: value.item() for name, value in terms.items()}))

    def on_validation_epoch_end(self) -> None:
        """Log means over the examples of all ranks."""
        parts = [self._validated] if self.lockstep else exchange.gathered(self._validated)
        self._validated = []
        means = {f"val/{name}": value for name, value in mean_over(parts).items()}
        if not self.trainer.sanity_checking:
            self.note(means)

    def note(self, values: dict[str, float]) -> None:
        """Log values of this validation; they may choose the weights."""
        self.found |= values
        self._log(values)

    def gives(self, name: str) -> bool:
        """Whether the validation that runs has a value of this name on this rank."""
        return any(name in terms for _, terms in self._validated)

    # -- callbacks, state ---------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Callback]:
        """An `EMA`, if the settings ask for one and the trainer has none."""
        averages = any(isinstance(callback, EMA) for callback in self.trainer.callbacks)
        return [EMA.of(self.settings)] if self.settings.averages and not averages else []

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
