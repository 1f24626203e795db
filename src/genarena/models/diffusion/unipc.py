"""UniPC: a multistep predictor, and a corrector that costs no evaluation (Zhao et al. 2023, arXiv 2302.04867).

Algorithms 1 and 2 (appendix E) for predictions of the data, with B_2(h) = exp(h) - 1, the choice of their code for few steps.

Differs from the paper
- The first steps have the order of the predictions there are, as in `DPMSolver`; the last one, to zero noise, returns the last
  prediction, and is not corrected.
- There is no corrector after a step from pure noise, which is h = infinity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoiser, DiffusionSampler, Noise


class Seen(NamedTuple):
    """A prediction x_0 made at lambda = log(a / s)."""

    log_snr: float
    x_0: Tensor


@dataclass(frozen=True)
class UniPC(DiffusionSampler):
    """UniP-p predicts from the last p predictions, UniC-p corrects with the prediction at the place reached: order p + 1.

    With h = lambda_s - lambda_t, r_k = (lambda_k - lambda_t) / h and D_k = (x_0^k - x_0) / r_k of other predictions x_0^k:
    x_s = (s_s / s_t) x - a_s (phi_1 x_0 + B sum_k rho_k D_k), phi_1 = B = exp(-h) - 1, and sum_k r_k^(n-1) rho_k =
    n! phi_(n+1) / B, phi_(n+1) = -phi_n / h - 1 / n! (eq. 9 to 11). The D_k of the predictor are those of the p - 1
    predictions before; the corrector has one more, of the place reached.
    """

    order: Literal[1, 2, 3] = 3

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        seen: list[Seen] = []  # the newest last
        begun: tuple[Tensor, Level] | None = None  # where the last step began, if it can be corrected
        for start, end in pairwise(levels):
            x_0 = denoise(x, start).x_0
            if begun:
                x = _step(*begun, start, seen[-1], [*seen[:-1], Seen(start.log_snr, x_0)])
            begun = (x, start) if start.a else None
            if start.a:  # from pure noise, lambda = -infinity, no difference can be taken
                seen = [*seen, Seen(start.log_snr, x_0)][-self.order :]
            x = _step(x, start, end, Seen(start.log_snr, x_0), seen[:-1] if end.s else [])
        return x


def _step(x: Tensor, start: Level, end: Level, now: Seen, others: Sequence[Seen]) -> Tensor:
    """x at `end` from x at `start`, by the prediction there and the other ones."""
    moved = end.a * now.x_0 + (end.s / start.s) * (x - start.a * now.x_0)
    if not others:
        return moved
    h = end.log_snr - start.log_snr
    r = [(other.log_snr - now.log_snr) / h for other in others]
    weighted = (rho * (other.x_0 - now.x_0) / r_k for rho, other, r_k in zip(_weights(r, h), others, r, strict=True))
    return moved - end.a * math.expm1(-h) * sum(weighted)


def _weights(r: Sequence[float], h: float) -> list[float]:
    """rho_k; of a single one its value for small h, 1/2, as in the paper's section 3.1."""
    if len(r) == 1:
        return [0.5]
    b = math.expm1(-h)
    phi, right = b, []
    for n in range(1, len(r) + 1):
        phi = -phi / h - 1.0 / math.factorial(n)
        right.append(math.factorial(n) * phi / b)
    powers = torch.tensor(r, dtype=torch.float64) ** torch.arange(len(r), dtype=torch.float64)[:, None]
    return torch.linalg.solve(powers, torch.tensor(right, dtype=torch.float64)).tolist()
