"""How a model is optimised, once for all: steps, clipping, accumulation, non-finite steps, validation, logging, state."""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from genarena.ranks import exchange, gradients, world
from genarena.spec import Batch
from genarena.training import sharding
from genarena.training.schedule import warmup_cosine

LOG_EVERY = 20  # batches
ADAM = partial(torch.optim.Adam, lr=1e-3)


@dataclass(frozen=True)
class Training:
    """How a model is optimised. `schedule` maps the used share of the budget to a factor on the learning rate.

    `batch_size` counts over all ranks, and no learning rate depends on their number.
    warmup_steps: the first so many steps rise to that rate, however short the budget: Adam's first steps move every weight
    by the whole rate, whatever the gradient is.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = ADAM
    schedule: Callable[[float], float] = warmup_cosine
    batch_size: int = 128
    accumulate: int = 1
    gradient_clip: float | None = None
    ema_decay: float | None = None
    warmup_steps: int = 0


class TrainedModule(LightningModule):
    """A module that says what is minimised and what is validated; everything about the steps is written here."""

    mixed_precision: ClassVar[bool] = False  # True: `loss` keeps what needs float32 out of autocast by itself
    selection: ClassVar[str | None] = None  # a validation key: keep the weights that minimise it; None: the last
    shardable: ClassVar[bool] = (
        False  # True: layers are called, never read, so that they may lie in shards on many devices
    )
    max_epochs: ClassVar[int | None] = None  # a model that learns nothing from a further pass says so

    def __init__(self, training: Training | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = training or Training()
        self.progress = 0.0  # share of the budget used, in [0, 1]; written by the budget callback
        self.batches_seen = 0
        self.lr_scale = 1.0  # lowered by the divergence guard
        self.nonfinite_steps = 0
        self.nonfinite_in_a_row = 0
        self._recent: dict[str, Tensor | float] = {}  # of the batches since the last that was logged
        self.lockstep = False  # whether a forward pass takes all ranks at once; set by the strategy that shards it
        self._validated: list[tuple[int, dict[str, float]]] = []

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss` is minimised, the others are named terms."""

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars averaged over the validation set and logged as `val/<name>`."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        terms = self.loss(batch)
        if terms["loss"].requires_grad:
            self.descend(terms["loss"], self.optimizers(use_pl_optimizer=True))
        self.after_batch(terms)

    def descend(self, loss: Tensor, optimizer: Any, player: str = "") -> None:
        """Backward, clip, step. A step whose loss or gradient is not finite on any rank is left out and counted.

        The norm of the gradient before clipping and the learning rate are logged under the name of the `player`.
        """
        self.manual_backward(loss / self.settings.accumulate)
        if (self.batches_seen + 1) % self.settings.accumulate:
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients.average_gradients(parameters)
        found = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = sharding.total_norm(found)
        self._recent[f"{player}gradient_norm"] = norm.detach()
        if self.settings.gradient_clip is not None:
            sharding.clip(found, self.settings.gradient_clip, norm)
        if exchange.any_rank(not torch.isfinite(norm + loss.detach())):
            self.nonfinite_steps += 1
            self.nonfinite_in_a_row += 1
        else:
            self.nonfinite_in_a_row = 0
            steps = self.batches_seen // self.settings.accumulate
            rise = min(1.0, (steps + 1) / (self.settings.warmup_steps + 1))
            factor = self.settings.schedule(self.progress) * self.lr_scale * rise
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            self._recent[f"{player}learning_rate"] = optimizer.param_groups[0]["lr"]
            optimizer.step()
        optimizer.zero_grad()

    def after_batch(self, terms: dict[str, Tensor]) -> None:
        self._recent |= {name: value.detach() for name, value in terms.items()}
        self.batches_seen += 1
        if self.batches_seen % LOG_EVERY == 1:  # logging costs as much as a small step
            parts = exchange.gathered({f"train/{name}": float(value) for name, value in self._recent.items()})
            values = {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
            self._recent = {}
            self.log_dict(values, logger=False)
            for logger in self.loggers:  # Lightning would write the same values again at each step in between
                logger.log_metrics(values | {"progress": self.progress}, self.batches_seen)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(batch.x):  # the other ranks have all there is
            return
        with torch.autocast(self.device.type, enabled=False):
            terms = self.validate(batch)
        self._validated.append((len(batch.x), {name: value.item() for name, value in terms.items()}))

    def on_validation_epoch_end(self) -> None:
        """The mean over the examples of all ranks, summed in one order however many ranks there are."""
        parts = [self._validated] if self.lockstep else exchange.gathered(self._validated)
        self._validated = []
        blocks = [block for turn in itertools.zip_longest(*parts) for block in turn if block is not None]
        num_examples = sum(size for size, _ in blocks)
        means = {
            name: sum(size * terms[name] for size, terms in blocks) / num_examples
            for name in (blocks or [(0, {})])[0][1]
        }
        self.log_dict({f"val/{name}": value for name, value in means.items()}, logger=False)

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["arena"] = {
            name: getattr(self, name)
            for name in ("progress", "batches_seen", "lr_scale", "nonfinite_steps", "nonfinite_in_a_row")
        }
        checkpoint["ranks"] = exchange.differing(
            {name: buffer for name, buffer in self.named_buffers() if name in checkpoint["state_dict"]}
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """On as many ranks as before, each gets the buffers it had (chains, statistics); else all get those of rank 0."""
        own = checkpoint.get("ranks", [])
        if len(own) == world.size():
            for state in ("state_dict", "current_model_state"):
                checkpoint.get(state, {}).update(own[world.rank()])
        for name, value in checkpoint["arena"].items():
            setattr(self, name, value)
