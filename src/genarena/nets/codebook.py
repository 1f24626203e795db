"""Codebooks: vectors to the nearest of K learnt ones (`Codebook`), or each dimension to a few fixed levels (`FiniteScalar`).

Vector quantisation with averaged codes: van den Oord, Vinyals & Kavukcuoglu 2017, arXiv 1711.00937, eq. 1, 2 and appendix
A.1. Restart of unused codes: Dhariwal et al. 2020, arXiv 2005.00341, sec. 3.1. Finite scalar quantisation: Mentzer et al. 2023,
arXiv 2309.15505, sec. 3.

Differs from the papers: the first codes are centres found by k-means with counts to match (averages that start at zero give
huge codes); an even number of levels lies symmetric about zero, where the paper shifts them so that zero is a level.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

ROUNDS = 10  # of k-means
DEAD = 0.03  # share of the mean count below which a code is replaced
AT_ONCE = 2**24  # distances in memory at once


class Quantised(NamedTuple):
    """codes (N, h, w) int64; vectors (N, D, h, w), whose gradient goes to the input unchanged; gap (N, h, w): the squared
    distance of the input to the vectors, with the gradient for the input only."""

    codes: Tensor
    vectors: Tensor
    gap: Tensor


class Codebook(nn.Module):
    """K vectors e_k of D dimensions; e_k = m_k / n_k, running sums and counts of the inputs closest to it.

    decay: of the sums and counts, per update. All state is in buffers; a forward pass changes none of it.
    """

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99) -> None:
        super().__init__()
        self.num_codes, self.dim, self.decay = num_codes, dim, decay
        vectors = torch.randn(num_codes, dim) / math.sqrt(dim)
        self.register_buffer("vectors", vectors)
        self.register_buffer("sums", vectors.clone())
        self.register_buffer("counts", torch.ones(num_codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))  # 0: the codes are still random

    def forward(self, x: Tensor) -> Quantised:
        """x (N, D, h, w) to its nearest codes."""
        codes = self.nearest(x.movedim(1, -1).flatten(0, -2)).view(len(x), *x.shape[2:])
        return _straight_through(x, self.lookup(codes), codes)

    def nearest(self, x: Tensor) -> Tensor:
        """Indices (M,) of the codes nearest to vectors x (M, D)."""
        parts = x.detach().float().split(max(1, AT_ONCE // self.num_codes))
        half = 0.5 * self.vectors.square().sum(1)
        return torch.cat([(half - part @ self.vectors.T).argmin(1) for part in parts])

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors (N, D, h, w) of codes (N, h, w)."""
        return self.vectors[codes].movedim(-1, 1)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the codes to the centres that k-means finds among vectors x (M, D), with the counts of their clusters."""
        generator = self._generator()
        order = torch.randperm(len(x), generator=generator).to(x.device)
        self.vectors.copy_(x[order[torch.arange(self.num_codes, device=x.device) % len(x)]])
        for _ in range(ROUNDS):
            counts, sums = self._totals(x)
            used = counts > 0
            self.vectors[used] = sums[used] / counts[used, None]
        counts, _ = self._totals(x)
        self.counts.copy_(counts.clamp_min(1e-3))  # a cluster without members is replaced at the first update
        self.sums.copy_(self.vectors * self.counts[:, None])
        self.updates.fill_(1)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Move the averages by one step towards vectors x (M, D), and put unused codes at random ones of them (eq. 6-8)."""
        counts, sums = self._totals(x)
        self.counts.lerp_(counts, 1.0 - self.decay)
        self.sums.lerp_(sums, 1.0 - self.decay)
        self.vectors.copy_(self.sums / self.counts.clamp_min(1e-6)[:, None])
        self._restart(x)
        self.updates += 1

    def _restart(self, x: Tensor) -> None:
        mean = self.counts.sum() / self.num_codes
        dead = self.counts < DEAD * mean
        chosen = torch.randint(len(x), (self.num_codes,), generator=self._generator()).to(x.device)
        self.vectors[dead] = x[chosen[dead]]
        self.counts[dead] = mean
        self.sums[dead] = self.vectors[dead] * mean

    def _totals(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Number (K,) and sum (K, D) of the vectors x (M, D) that are nearest to each code."""
        nearest = self.nearest(x)
        counts = torch.zeros_like(self.counts).index_add_(0, nearest, torch.ones_like(x[:, 0]))
        return counts, torch.zeros_like(self.sums).index_add_(0, nearest, x)

    def _generator(self) -> torch.Generator:
        """Draws that follow from the number of updates: the same on all ranks and after a resume."""
        return torch.Generator().manual_seed(int(self.updates))


class FiniteScalar(nn.Module):
    """D = len(levels) dimensions, each rounded to one of its levels, spread evenly over [-1, 1]; K = product of the levels.

    Raises ValueError for fewer than two levels.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"levels={list(levels)}: expected at least two per dimension, e.g. [8, 5, 5, 5]")
        self.num_codes, self.dim = math.prod(levels), len(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        basis = torch.tensor([math.prod(levels[:index]) for index in range(len(levels))])
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, x: Tensor) -> Quantised:
        """x (N, D, h, w), unbounded, to its codes."""
        middle = 0.5 * (self.levels - 1)
        bounded = torch.tanh(x.movedim(1, -1).float()) * 1.001  # so that the outermost levels are reached
        whole = (bounded * middle + middle).round()  # 0 .. levels - 1
        codes = (whole.detach().nan_to_num().long() * self.basis).sum(-1)
        return _straight_through(bounded.movedim(-1, 1), (whole / middle - 1.0).movedim(-1, 1), codes)

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors (N, D, h, w) of codes (N, h, w)."""
        whole = codes.unsqueeze(-1) // self.basis % self.levels
        return (2.0 * whole / (self.levels - 1) - 1.0).movedim(-1, 1)

    def start(self, x: Tensor) -> None:
        """Its levels are fixed."""

    def update(self, x: Tensor) -> None:
        """Its levels are fixed."""


def _straight_through(x: Tensor, vectors: Tensor, codes: Tensor) -> Quantised:
    gap = (x - vectors.detach()).square().sum(1)
    return Quantised(codes, x + (vectors - x).detach(), gap)


def perplexity(codes: Tensor, num_codes: int) -> Tensor:
    """exp of the entropy of how often each code occurs: 1 for a single code, `num_codes` for all equally often."""
    share = torch.bincount(codes.flatten(), minlength=num_codes) / codes.numel()
    return torch.special.entr(share).sum().exp()


def usage(codes: Tensor, num_codes: int) -> Tensor:
    """Share of the codes that occur."""
    return (torch.bincount(codes.flatten(), minlength=num_codes) > 0).float().mean()
