"""The reverse chain of levels, p(x_s | x_t) from T to 0 (Austin et al. 2021, arXiv 2107.03006, eq. 4).

Differs from the paper: the last step is drawn as the others are, where the authors' code takes the likeliest level.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.discrete_diffusion.corruption import Chain
from genarena.models.discrete_diffusion.unmasking import draw_levels
from genarena.models.sampler import Sampler
from genarena.options.values import Count

Predicted = Callable[[Tensor, Tensor], Tensor]  # x_t (N, D) int64, steps t (N,): p(x_0 | x_t) (N, D, K)


@dataclass(frozen=True)
class ReverseChain(Sampler):
    """nfe: network evaluations per sample, at most one per step of the chain; null: one per step."""

    nfe: Count | None = 25

    def num_steps(self, most: int) -> int:
        """Raises ValueError for more evaluations than the chain has steps."""
        if self.nfe is not None and self.nfe > most:
            raise ValueError(f"sampler.nfe={self.nfe}: expected at most {most}, the number of steps of the chain")
        return most if self.nfe is None else self.nfe

    def draw(self, predicted: Predicted, chain: Chain, num: int, num_dims: int, device: torch.device) -> Tensor:
        """x_0 (num, num_dims), float64; NaN where a probability was NaN."""
        steps = self.num_steps(chain.num_steps)
        x = draw_levels(chain.end.log().to(device).expand(num, num_dims, -1))
        for k in range(steps, 0, -1):
            t, s = (torch.full((num,), chain.num_steps * place // steps, device=device) for place in (k, k - 1))
            now = x.nan_to_num().long()
            x = draw_levels(chain.posterior(now, predicted(now, t), s, t).log()) + 0.0 * x
        return x
