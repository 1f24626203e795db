"""Ancestral sampling of masked diffusion: all dimensions start masked, and are filled in random order, some in each step.

Sahoo et al. 2024, arXiv 2406.07524, eq. 7; Shi et al. 2024, arXiv 2406.04329, algorithm 2.

Differs from the papers: a step fills a fixed number of dimensions, the expected one, instead of each with a probability.
Every evaluation of the network is then used, and `nfe` = D fills one dimension per step, which makes no error (the
first-hitting sampler of Zheng et al. 2024, arXiv 2409.02908, without its times, on which nothing depends).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.sampler import Sampler
from genarena.options.values import Count

Logits = Callable[[Tensor, Tensor], Tensor]  # levels (N, D) int64, masked (N, D): logits (N, L, D)


def draw_levels(logits: Tensor) -> Tensor:
    """Levels (...) as float64 from logits (..., L): inversion of the cumulative distribution; NaN where a logit is NaN."""
    cumulative = torch.softmax(logits.double(), -1).cumsum(-1)
    threshold = torch.rand_like(cumulative[..., :1]) * cumulative[..., -1:]
    return (threshold >= cumulative).sum(-1).clamp_max(logits.shape[-1] - 1) + 0.0 * threshold.squeeze(-1)


@dataclass(frozen=True)
class Unmasking(Sampler):
    """nfe: network evaluations per sample, at most one per dimension; null: one per dimension, the most exact."""

    nfe: Count | None = 50

    def num_steps(self, num_dims: int) -> int:
        """Raises ValueError for more evaluations than there are dimensions."""
        if self.nfe is not None and self.nfe > num_dims:
            raise ValueError(
                f"sampler.nfe={self.nfe}: expected at most {num_dims}, the number of dimensions of the data"
            )
        return num_dims if self.nfe is None else self.nfe

    def draw(self, logits_of: Logits, num: int, num_dims: int, device: torch.device) -> Tensor:
        """Levels (num, num_dims), float64; NaN where a logit was NaN."""
        steps = self.num_steps(num_dims)
        order = torch.rand(num, num_dims, device=device, dtype=torch.float64).argsort(1)
        levels = torch.zeros(num, num_dims, device=device, dtype=torch.float64)
        masked = torch.ones_like(levels, dtype=torch.bool)
        for step in range(steps):
            chosen = order[:, num_dims * step // steps : num_dims * (step + 1) // steps]
            logits = logits_of(levels.nan_to_num().long(), masked)
            rows = chosen[:, None].expand(-1, logits.shape[1], -1)
            levels.scatter_(1, chosen, draw_levels(logits.gather(2, rows).mT))
            masked.scatter_(1, chosen, False)
        return levels
