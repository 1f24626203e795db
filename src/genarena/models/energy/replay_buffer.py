"""Replay buffer: persistent chains, stored between updates (Du & Mordatch 2019, arXiv 1903.08689, sec. 3.2)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genarena.models.energy.langevin import like
from genarena.spec import Condition

Start = Callable[[int], Tensor]  # n to n new chains (n, *shape)


class Drawn(NamedTuple):
    """Chains `index` (n,), their states (n, *shape), float32, and their conditions y (n, ...), None without."""

    index: Tensor
    state: Tensor
    y: Tensor | None


class ReplayBuffer(nn.Module):
    """Up to `capacity` chains; `age` counts the updates of each chain since it started from noise.

    A drawn chain restarts from noise with probability `restart`. The number of chains in use grows by one per `visits`
    draws, so that a short run does not spread its steps over chains that never settle.
    All state is in registered buffers of fixed shape, so that a resumed run continues the same chains. Half precision
    (`dtype`) is enough for pixels: its rounding is far below the noise of a step. With a `condition` each chain keeps its own
    until it restarts.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        capacity: int,
        restart: float = 0.05,
        visits: int = 20,
        dtype: torch.dtype = torch.float32,
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"buffer_size={capacity}: expected at least 1 chain")
        if not 0.0 <= restart <= 1.0:
            raise ValueError(f"restart={restart}: expected a probability")
        self.restart, self.visits = restart, visits
        self.register_buffer("chains", torch.randn(capacity, *shape).to(dtype))
        self.register_buffer("age", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))
        kept = None if condition is None else torch.zeros(capacity, *condition.shape, dtype=condition.dtype)
        self.register_buffer("conditions", kept)

    def draw(self, num: int, start: Start, keep: bool = True, y: Tensor | None = None) -> Drawn:
        """Distinct chains, some of them restarted, n = min(num, capacity).

        keep: restarts and the number of draws are noted in the buffer. y: conditions (num, ...) that chains restart with.
        """
        size = min(len(self.age), max(num, int(self.drawn) // self.visits))
        index = torch.randperm(size, device=self.age.device)[:num]
        afresh = (self.age[index] == 0) | (torch.rand(len(index), device=index.device) < self.restart)
        if keep:
            self.drawn += len(index)
            self.age[index[afresh]] = 0
        state = torch.where(like(afresh, self.chains), start(len(index)), self.chains[index].float())
        if self.conditions is None:
            return Drawn(index, state, None)
        own = self.conditions[index]
        return Drawn(index, state, torch.where(like(afresh, own), y[: len(index)], own))

    def write(self, index: Tensor, state: Tensor, y: Tensor | None = None) -> None:
        """Store the states (n, *shape) and conditions of chains `index`; one that is not finite will restart from noise."""
        state = state.to(self.chains.dtype)
        finite = torch.isfinite(state).flatten(1).all(1)
        self.chains[index] = torch.where(like(finite, state), state, 0.0)
        self.age[index] = torch.where(finite, self.age[index] + 1, 0)
        if self.conditions is not None:
            self.conditions[index] = y

    def pick(self, num: int) -> Drawn:
        """Of the older half of the chains that have run, with repetitions beyond it; the buffer does not change.

        No chain is repeated before all of that half are used. Before training, half of the chains are used; all are noise.
        """
        ran = int((self.age > 0).sum()) or len(self.age)
        older = self.age.argsort(descending=True, stable=True)[: -(-ran // 2)]
        order = older[torch.randperm(len(older), device=older.device)]
        index = order.repeat(-(-num // len(order)))[:num]
        return Drawn(index, self.chains[index].float(), None if self.conditions is None else self.conditions[index])
