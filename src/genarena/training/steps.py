"""The steps of all models: players in turn, clipping, accumulation, non-finite steps, logging."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from genarena.ranks import exchange, gradients, world
from genarena.spec import Batch
from genarena.training import players
from genarena.training.means import Means
from genarena.training.players import Player, Seat

LOG_EVERY = 20  # batches


class Steps(LightningModule):
    """What a model says about its training (`loss` or `players`, `observe`, `after_step`), and the steps that follow from it.

    settings: a `genarena.training.module.Training`.
    """

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = settings
        self.progress = 0.0  # share of the training that is done, in [0, 1]
        self.batches_seen = 0
        self.examples_seen = 0  # of all ranks
        self.lr_scale = 1.0  # lowered by the divergence guard
        self.nonfinite_steps = 0
        self.nonfinite_in_a_row = 0
        self.sound: list[str] = []  # players with a finite step since the last skipped one
        self.learning_rates: dict[str, float] = {}  # at the latest step of each player
        self._means = Means()
        self._seats: list[Seat] = []

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss` is minimised, the others are named terms."""

    def players(self) -> list[Player]:
        """Who minimises what; by default one player, who minimises `loss` over all parameters."""
        return [Player("", self.parameters(), self.loss)]

    def observe(self, batch: Batch) -> None:
        """Called before each training step, without gradients: for statistics, data-dependent starts, buffers."""

    def after_step(self) -> None:
        """Called after the steps of the players, without gradients: for target networks, codebooks, limits on weights."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        self._seats, optimizers = players.seated(self, self.players(), self.settings.optimizer)
        return optimizers

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch: `observe`, then each player whose turn it is. A later player meets the new weights of the earlier ones."""
        with torch.no_grad():
            self.observe(batch)
        step, terms, finite = self.batches_seen // self.settings.accumulate, {}, {}
        for seat in self._seats:
            if not seat.moves(step):
                continue
            terms |= (own := seat.terms(batch))
            loss, name = own[f"{seat.player.prefix}loss"], seat.player.name
            if loss.requires_grad and (moved := self.descend(loss, seat)) is not None:
                finite[name] = moved
        self._count(finite)
        if finite and all(finite.values()):
            with torch.no_grad():
                self.after_step()
        self.after_batch(terms, len(batch.x))

    def descend(self, loss: Tensor, seat: Seat) -> bool | None:
        """Backward, clip, step. A step is skipped if its loss or gradient is not finite on any rank, or above `Player.skip`.

        Whether the step was made; None within a group of accumulated batches. The gradient's norm before clipping and the
        learning rate are logged with the player's prefix.
        """
        self.manual_backward(loss / self.settings.accumulate)
        if (self.batches_seen + 1) % self.settings.accumulate:
            return None
        player, optimizers = seat.player, self.optimizers(use_pl_optimizer=True)
        optimizer = optimizers[seat.optimizer] if isinstance(optimizers, list) else optimizers
        gradients.average_gradients(player.owned)
        norm = players.clip_gradients(player, self.settings.gradient_clip)
        self._means.add({f"{player.prefix}gradient_norm": norm}, 1)
        broken = ~torch.isfinite(norm + loss.detach()) | players.too_large(player, norm, self.nonfinite_in_a_row)
        finite = not exchange.any_rank(bool(broken))
        if finite:
            self.learning_rates[f"{player.prefix}learning_rate"] = players.set_rate(optimizer, self._rate_factor())
            players.set_beta2(optimizer, player)
            optimizer.step()
            torch.clear_autocast_cache()  # it holds low-precision copies of the old weights
        optimizer.zero_grad()
        return finite

    def _rate_factor(self) -> float:
        steps = self.batches_seen // self.settings.accumulate
        rise = min(1.0, (steps + 1) / (self.settings.warmup_steps + 1))
        return self.settings.schedule(self.progress) * self.lr_scale * rise

    def _count(self, finite: dict[str, bool]) -> None:
        """Count skipped steps. finite: per player that was to step. A row of skipped steps ends when every player has made a
        step since the last one."""
        broken = len(finite) - sum(finite.values())
        self.nonfinite_steps += broken
        self.nonfinite_in_a_row += broken
        self.sound = [] if broken else sorted({*self.sound, *finite})
        if finite and {seat.player.name for seat in self._seats if seat.optimizer is not None} <= {*self.sound}:
            self.nonfinite_in_a_row, self.sound = 0, []

    def after_batch(self, terms: dict[str, Tensor], num_examples: int) -> None:
        """Count the batch; every `LOG_EVERY` batches, log the means of the terms over the examples since the last line."""
        self._means.add(terms, num_examples)
        self.batches_seen += 1
        self.examples_seen += num_examples * world.size()
        if self.batches_seen % LOG_EVERY == 1:  # logging costs as much as a small step
            values = self._means.take() | self.learning_rates
            self._log({f"train/{name}": value for name, value in values.items()})

    def _log(self, values: dict[str, float]) -> None:
        """Log values for callbacks, and to the loggers at step `batches_seen`."""
        self.log_dict(values, logger=False)  # Lightning would repeat them at each step
        for logger in self.loggers:
            logger.log_metrics(values | {"progress": self.progress, "examples": self.examples_seen}, self.batches_seen)
