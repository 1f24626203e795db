"""Where persistent chains live between updates (Du & Mordatch 2019, arXiv 1903.08689, sec. 3.2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genarena.models.energy.langevin import like

Start = Callable[[int], Tensor]  # n to n new chains (n, *shape)


class ReplayBuffer(nn.Module):
    """`capacity` chains, at first N(0, I) and of age 0; `age` counts the updates each has been through.

    A draw starts a chain afresh with probability `restart`. Everything is a buffer of fixed shape, so that a resumed
    run goes on with the same chains. Half precision (`dtype`) is enough for pixels: it rounds far below a step's noise.
    """

    def __init__(self, shape: tuple[int, ...], capacity: int, restart: float = 0.05,
                 dtype: torch.dtype = torch.float32) -> None:  # fmt: skip
        super().__init__()
        if capacity < 1:
            raise ValueError(f"buffer_size={capacity}: expected at least 1 chain")
        if not 0.0 <= restart <= 1.0:
            raise ValueError(f"restart={restart}: expected a probability")
        self.restart = restart
        self.register_buffer("chains", torch.randn(capacity, *shape).to(dtype))
        self.register_buffer("age", torch.zeros(capacity, dtype=torch.int64))

    def draw(self, num: int, start: Start) -> tuple[Tensor, Tensor]:
        """Distinct chains: index (n,) and state (n, *shape), float32, n = min(num, capacity)."""
        index = torch.randperm(len(self.age), device=self.age.device)[:num]
        afresh = torch.rand(len(index), device=index.device) < self.restart
        self.age[index[afresh]] = 0
        return index, torch.where(like(afresh, self.chains), start(len(index)), self.chains[index].float())

    def write(self, index: Tensor, state: Tensor, start: Start) -> None:
        """Put chains back where they came from; one that is no longer finite starts afresh."""
        state = state.to(self.chains.dtype)
        finite = torch.isfinite(state).flatten(1).all(1)
        self.chains[index] = torch.where(like(finite, state), state, start(len(index)).to(state.dtype))
        self.age[index] = torch.where(finite, self.age[index] + 1, 0)

    def pick(self, num: int, min_age: int = 0) -> Tensor:
        """States (num, *shape), float32, without a change to the buffer; grown-up chains first, none twice before all."""
        order = torch.randperm(len(self.age), device=self.age.device)
        order = order[(self.age[order] < min_age).long().argsort(stable=True)]
        return self.chains[order.repeat(-(-num // len(order)))[:num]].float()
