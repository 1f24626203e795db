"""Markov chains that corrupt levels, each dimension by itself (Austin et al. 2021, arXiv 2107.03006, sec. 3 and appendix A).

    q(x_t | x_{t-1}) = Q_t[x_{t-1}, x_t],     q(x_t | x_0) = Qbar_t[x_0, x_t],     Qbar_t = Q_1 Q_2 ... Q_t

Three chains: to any level at random (`uniform`), to the mask (`absorbing`), and to levels nearby (`gaussian`). Two are
Qbar_t = a_t I + (1 - a_t) 1 pi^T, and no matrix is stored; the other has its matrices. From them come the marginals and

    q(x_s | x_t, x_0) = Q_{s+1..t}[x_s, x_t] Qbar_s[x_0, x_s] / Qbar_t[x_0, x_t],   s < t
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["gaussian", "uniform", "absorbing"]
LEAST = 1e-18  # of a factor of a posterior, whose product is still a float32
FEW = 16  # levels
FORGOTTEN = 0.01  # nats that x_T may still know of a dimension


class Chain(ABC):
    """num_steps: T. num_states: the levels, and the mask of an absorbing chain, the last state. end: p(x_T), (num_states,)."""

    num_steps: int
    num_states: int
    end: Tensor

    @abstractmethod
    def marginal(self, x_0: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_0) (N, D, K) of states x_0 (N, D) at steps t (N,); t = 0 is the state itself."""

    @abstractmethod
    def spread(self, p: Tensor, t: Tensor) -> Tensor:
        """p Qbar_t, the distribution of x_t if x_0 has the distribution p (N, D, K)."""

    @abstractmethod
    def seen(self, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_s) as a function of x_s (N, D, K); s < t (N,), the same for all examples unless s = t - 1."""

    @abstractmethod
    def draw(self, x_0: Tensor, t: Tensor) -> Tensor:
        """x_t (N, D) int64 of q(x_t | x_0)."""

    @property
    @abstractmethod
    def prior_term(self) -> Tensor:
        """KL(q(x_T | x_0) | p(x_T)) of each level x_0, (L,) nats, float32."""

    def posterior(self, x_t: Tensor, p: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_s) (p Qbar_s)[x_s], normalised (N, D, K) (eq. 4); with p at one x_0 it is q(x_s | x_t, x_0) (eq. 3)."""
        joint = self.seen(x_t, s, t).clamp_min(LEAST) * self.spread(p, s).clamp_min(LEAST)
        return joint / joint.sum(-1, keepdim=True)


class Mixing(Chain):
    """A state is kept with probability a_t / a_{t-1} in each step, or drawn anew from `end`."""

    def __init__(self, kept: Tensor, end: Tensor) -> None:
        """kept (T + 1,): a_t, from 1; end: pi."""
        self.num_steps, self.num_states = len(kept) - 1, len(end)
        self.kept, self.end = kept, end

    def marginal(self, x_0: Tensor, t: Tensor) -> Tensor:
        return self.spread(F.one_hot(x_0, self.num_states).to(torch.float32), t)

    def spread(self, p: Tensor, t: Tensor) -> Tensor:
        a = self.kept.to(t.device)[t][:, None, None].to(p.dtype)
        return a * p + (1.0 - a) * self.end.to(p)

    def seen(self, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
        kept = self.kept.to(t.device)
        a = (kept[t] / kept[s])[:, None, None]
        same = F.one_hot(x_t, self.num_states)
        return (a * same + (1.0 - a) * self.end.to(a)[x_t][..., None]).float()

    def draw(self, x_0: Tensor, t: Tensor) -> Tensor:
        a = self.kept.to(t.device)[t][:, None]
        kept = torch.rand(x_0.shape, device=x_0.device, dtype=a.dtype) < a
        fresh = torch.multinomial(self.end.to(x_0.device), x_0.numel(), replacement=True).view(x_0.shape)
        return torch.where(kept, x_0, fresh)

    @property
    def prior_term(self) -> Tensor:
        """Zero, because a_T = 0."""
        return torch.zeros(self.num_states)


class Gaussian(Chain):
    """Q_t[i, j] falls with |i - j| as a Gaussian of variance beta_t / 2 in units of [-1, 1] (appendix A.2.3)."""

    def __init__(self, betas: Tensor, num_levels: int) -> None:
        self.num_steps, self.num_states = len(betas), num_levels
        self.end = torch.full((num_levels,), 1.0 / num_levels)
        self.betas = betas.double()
        self._placed: dict[tuple[str, torch.device], Tensor] = {}  # tables on the devices where they were needed

    def masses(self, t: int) -> Tensor:
        """Of jumps by -(K - 1) .. K - 1 at step t, from 1 on; (2 K - 1,), float64."""
        apart = torch.arange(1 - self.num_states, self.num_states, dtype=torch.float64)
        return torch.softmax(-4.0 * apart.square() / ((self.num_states - 1) ** 2 * self.betas[t - 1]), 0)

    def step(self, t: int) -> Tensor:
        """Q_t (K, K), float64; t from 1. What would jump off the scale stays."""
        places = torch.arange(self.num_states)
        matrix = self.masses(t)[places - places[:, None] + self.num_states - 1]
        return matrix + torch.diag(1.0 - matrix.sum(1))

    @cached_property
    def steps(self) -> Tensor:
        """Q_t at [t], (T + 1, K, K) float32; the identity at 0."""
        return torch.stack([torch.eye(self.num_states), *(self.step(t + 1).float() for t in range(self.num_steps))])

    @cached_property
    def products(self) -> Tensor:
        """Qbar_t at [t], (T + 1, K, K) float32, multiplied in float64."""
        found = [torch.eye(self.num_states, dtype=torch.float64)]
        for t in range(self.num_steps):
            found.append(found[-1] @ self.step(t + 1))
        return torch.stack([matrix.float() for matrix in found])

    def marginal(self, x_0: Tensor, t: Tensor) -> Tensor:
        return self._of("products", t)[torch.arange(len(t), device=t.device)[:, None], x_0]

    def spread(self, p: Tensor, t: Tensor) -> Tensor:
        return p @ self._of("products", t).to(p.dtype)

    def seen(self, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
        if bool((t - s == 1).all()):
            matrices = self._of("steps", t)
        else:
            matrices = self._between(int(s[0]), int(t[0])).to(t.device).expand(len(t), -1, -1)
        return matrices.mT[torch.arange(len(t), device=t.device)[:, None], x_t]

    def draw(self, x_0: Tensor, t: Tensor) -> Tensor:
        cumulative = self._of("cumulative", t)[torch.arange(len(t), device=t.device)[:, None], x_0]
        threshold = torch.rand(*x_0.shape, 1, device=x_0.device) * cumulative[..., -1:]
        return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1).clamp_max(self.num_states - 1)

    @cached_property
    def cumulative(self) -> Tensor:
        """Of the rows of Qbar_t, (T + 1, K, K) float32."""
        return self.products.double().cumsum(-1).float()

    @cached_property
    def prior_term(self) -> Tensor:
        last = self.products[-1].double()
        return torch.special.xlogy(last, last * self.num_states).sum(1).float()

    def _between(self, s: int, t: int) -> Tensor:
        """Q_{s+1} ... Q_t."""
        found = self.steps[s + 1].double()
        for step in range(s + 2, t + 1):
            found = found @ self.steps[step].double()
        return found.float()

    def _of(self, table: str, t: Tensor) -> Tensor:
        """The matrices (N, K, K) of steps t (N,), on its device."""
        if (table, t.device) not in self._placed:
            self._placed[table, t.device] = getattr(self, table).to(t.device)
        return self._placed[table, t.device][t]

    def left(self) -> float:
        """Nats that x_T knows of x_0 at an end of the scale, KL(q(x_T | x_0) | p(x_T)), without the matrices of all steps."""
        q = torch.zeros(1, 1, self.num_states, dtype=torch.float64)
        q[..., 0] = 1.0
        for t in range(self.num_steps):
            jumps = partial(F.conv1d, weight=self.masses(t + 1)[None, None], padding=self.num_states - 1)
            q = jumps(q) + q * (1.0 - jumps(torch.ones_like(q)))
        return torch.special.xlogy(q, q * self.num_states).sum().item()


def usual(num_levels: int) -> Kind:
    """The chain for as many levels: nearness means little among few of them, and they are too far apart to be forgotten."""
    return "gaussian" if num_levels >= FEW else "absorbing"


def chain(kind: Kind, num_steps: int, num_levels: int) -> Chain:
    """The chains of the paper (appendix B): beta_t linear to 20 / T; a_t by the cosine of Nichol & Dhariwal; a_t = 1 - t / T.

    Raises ValueError for a Gaussian chain that does not forget the level: few levels are far apart.
    """
    if kind == "gaussian":
        found = Gaussian(torch.linspace(1e-4, 0.02, num_steps, dtype=torch.float64) * 1000.0 / num_steps, num_levels)
        if (left := found.left()) > FORGOTTEN:
            raise ValueError(
                f"corruption=gaussian: {num_steps} steps leave {left:.2g} nats of a level of {num_levels}, expected at most "
                f"{FORGOTTEN:g}; say uniform or absorbing"
            )
        return found
    share = torch.linspace(0.0, 1.0, num_steps + 1, dtype=torch.float64)
    if kind == "absorbing":
        return Mixing(1.0 - share, torch.cat([torch.zeros(num_levels), torch.ones(1)]))
    kept = torch.cos((share + 0.008) / 1.008 * math.pi / 2.0).square() / math.cos(0.008 / 1.008 * math.pi / 2.0) ** 2
    kept[-1] = 0.0
    return Mixing(kept, torch.full((num_levels,), 1.0 / num_levels))
