"""Players: who minimises which loss, over which parameters, with which optimiser, and when. A model has one or more."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genarena.spec import Batch
from genarena.training import sharding
from genarena.training.means import minimised

SKIPS = (
    5  # in a row for large gradients; below `max_skips` of the divergence guard, which would go back to a checkpoint
)
FACTORS = ("lr", "weight_decay")  # options of an optimiser that a group of parameters may scale


@dataclass(frozen=True)
class Player:
    """A loss and the parameters that minimise it.

    name: its values are logged as `<name>_loss`, `<name>_gradient_norm`, ...; "" is for a model with one player.
    parameters: parameters, or groups `{"params": [...], "lr_factor": 0.1, "weight_decay_factor": 0.0}`. The factors scale the
        optimiser's own values; other keys are options of the optimiser.
    loss: `loss(batch)` gives scalars, of which `loss` is minimised. While it runs, all other parameters of the model
        are constants.
    optimizer: makes the optimiser; None: `Training.optimizer`. The name of another player: both use that player's optimiser
        (a lazy penalty on the same parameters; its loss has the weight `every`).
    every: the player moves in every `every`-th step.
    beta2: from the optimiser's own beta2 (Adam) to that of the next step; None: its own.
    clip: largest Euclidean norm of its gradient; None: `Training.gradient_clip`; infinity: no clipping.
    skip: norm of its gradient above which its step is skipped (Child 2020, arXiv 2011.10650, sec. 3.3); None: no step is. After
        `SKIPS` skipped steps in a row one is made, its gradient clipped to `skip`, so that a training does not stand still.
    Raises ValueError for `every` below 1, and unless `clip` and `skip` are positive.
    """

    name: str
    parameters: Iterable[nn.Parameter] | Sequence[Mapping[str, Any]]
    loss: Callable[[Batch], dict[str, Tensor]]
    optimizer: Callable[[Any], torch.optim.Optimizer] | str | None = None
    every: int = 1
    beta2: Callable[[float], float] | None = None
    clip: float | None = None
    skip: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or min(self.clip or 1.0, self.skip or 1.0) < 0.0 or 0.0 in (self.clip, self.skip):
            raise ValueError(
                f"{self.name}: every={self.every}, clip={self.clip}, skip={self.skip}: expected at least 1, and above 0 "
                "or None"
            )
        found = list(self.parameters)
        groups = [dict(group) for group in found] if found and isinstance(found[0], Mapping) else [{"params": found}]
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
        object.__setattr__(self, "parameters", [group for group in groups if group["params"]])

    @property
    def prefix(self) -> str:
        return f"{self.name}_" if self.name else ""

    @property
    def owned(self) -> list[nn.Parameter]:
        """All of its parameters, in order."""
        return [parameter for group in self.parameters for parameter in group["params"]]

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """The scalars of its loss, with its prefix. Raises TypeError for a loss that gives anything else."""
        terms = self.loss(batch)
        minimised(terms, f"{self.name}_loss" if self.name else getattr(self.loss, "__qualname__", "loss"))
        return {f"{self.prefix}{name}": value for name, value in terms.items()}


@dataclass(frozen=True)
class Seat:
    """A player in a training. others: the parameters that it does not own. optimizer: index of its optimiser, None if it has
    no parameters."""

    player: Player
    others: list[nn.Parameter]
    optimizer: int | None

    def moves(self, step: int) -> bool:
        """Whether it is the player's turn in a step, counted from 0."""
        return (step + 1) % self.player.every == 0

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        with constant(self.others):
            return self.player.terms(batch)


def joint(players: Sequence[Player], batch: Batch) -> dict[str, Tensor]:
    """The scalars of all players, and `loss`, the sum of their losses: for inspection, not for training."""
    terms = [player.terms(batch) for player in players]
    total = sum(part[f"{player.prefix}loss"] for player, part in zip(players, terms, strict=True))
    return {"loss": total} | {name: value for part in terms for name, value in part.items()}


def seated(
    module: nn.Module, players: Sequence[Player], default: Callable[[Any], torch.optim.Optimizer]
) -> tuple[list[Seat], list[torch.optim.Optimizer]]:
    """The players of a module with their optimisers. Raises ValueError for a name that is used twice, and for an `optimizer`
    that names no earlier player with the same parameters."""
    if len({player.name for player in players}) < len(players):
        raise ValueError(f"players {', '.join(repr(player.name) for player in players)}: expected different names")
    seats: dict[str, Seat] = {}
    optimizers: list[torch.optim.Optimizer] = []
    for player in players:
        if isinstance(player.optimizer, str):
            index = _borrowed(player, seats)
        else:
            index = len(optimizers) if player.owned else None
            optimizers += [_optimizer(player, default)] if player.owned else []
        seats[player.name] = Seat(player, outside(module, player), index)
    return list(seats.values()), optimizers


def outside(module: nn.Module, player: Player) -> list[nn.Parameter]:
    """The parameters of a module that the player does not own."""
    own = {id(parameter) for parameter in player.owned}
    return [parameter for parameter in module.parameters() if id(parameter) not in own]


@contextmanager
def constant(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Inside this context no gradient is taken in these parameters."""
    frozen = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def set_rate(optimizer: Any, factor: float) -> float:
    """Set the learning rates to `factor` times those at the start; returns that of the first group."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return optimizer.param_groups[0]["lr"]


def set_beta2(optimizer: Any, player: Player) -> None:
    """Set beta2 as the player says; beta1 and, without `Player.beta2`, everything stay."""
    for group in optimizer.param_groups if player.beta2 else ():
        group["betas"] = (group["betas"][0], player.beta2(group["initial_beta2"]))


def clip_gradients(player: Player, default: float | None) -> Tensor:
    """Clip the gradient of a player in place, to the smaller one of its limits; returns its norm before."""
    found = [parameter.grad for parameter in player.owned if parameter.grad is not None]
    norm = sharding.total_norm(found)
    limit = min(math.inf if each is None else each for each in (player.clip or default, player.skip))
    if limit != math.inf:
        sharding.clip(found, limit, norm)
    return norm


def too_large(player: Player, norm: Tensor, skipped_in_a_row: int) -> Tensor:
    """Whether the step of a gradient of this norm is to be skipped; (), bool."""
    if player.skip is None or skipped_in_a_row >= SKIPS:
        return torch.zeros_like(norm, dtype=torch.bool)
    return norm > player.skip


def _borrowed(player: Player, seats: Mapping[str, Seat]) -> int | None:
    lender = seats.get(player.optimizer)
    if lender is None or not {id(p) for p in player.owned} <= {id(p) for p in lender.player.owned}:
        raise ValueError(f"{player.name}: optimizer={player.optimizer!r} is no earlier player with the same parameters")
    return lender.optimizer


def _optimizer(player: Player, default: Callable[[Any], torch.optim.Optimizer]) -> torch.optim.Optimizer:
    groups = [{**group, "params": part} for group in player.parameters for part in sharding.by_kind(group["params"])]
    optimizer = (player.optimizer or default)(groups)
    for group in optimizer.param_groups:
        for name in FACTORS:
            factor = group.pop(f"{name}_factor", None)
            if factor is not None and name not in group:
                raise ValueError(f"{player.name}: {name}_factor={factor}: {type(optimizer).__name__} has no {name}")
            if factor is not None:
                group[name] = group[name] * factor
        group["initial_lr"] = group["lr"]
        if player.beta2 and "betas" not in group:
            raise ValueError(f"{player.name}: beta2 follows a schedule, and {type(optimizer).__name__} has none")
        if player.beta2:
            group["initial_beta2"] = group["betas"][1]
    return optimizer
