"""Samplers: from noise x_T back to data, all with one signature, `sampler(denoise, x, schedule, steps) -> x_0`.

denoise(x_t, t) predicts the data from x_t (N, ...) at the integer step t, and gives the reverse variance (`Denoised`).
steps decreases from T to 0 and may skip steps (`respaced`); each sampler costs len(steps) - 1 network evaluations.

Ancestral: Ho et al. 2020, arXiv 2006.11239, algorithm 2, respaced as in Nichol & Dhariwal 2021, arXiv 2102.09672, sec. 4.
DDIM: Song, Meng & Ermon 2020, arXiv 2010.02502, eq. 12 with sigma = 0.
DPM-Solver++(2M): Lu et al. 2022, arXiv 2211.01095, algorithm 2, first order in the first and the last step.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.models.diffusion.schedules import NoiseSchedule


class Denoised(NamedTuple):
    """`x_0`: predicted data. `share`: where the reverse log-variance lies between posterior (0) and beta (1)."""

    x_0: Tensor
    share: Tensor | float = 0.0


Denoiser = Callable[[Tensor, int], Denoised]
Sampler = Callable[[Denoiser, Tensor, NoiseSchedule, Sequence[int]], Tensor]


def respaced(num_steps: int, nfe: int) -> list[int]:
    """nfe + 1 steps from num_steps to 0, as even as integers can be; 1 <= nfe <= num_steps."""
    return [num_steps * (nfe - k) // nfe for k in range(nfe + 1)]


def ancestral(denoise: Denoiser, x: Tensor, schedule: NoiseSchedule, steps: Sequence[int]) -> Tensor:
    """x_s ~ N(posterior mean at the predicted x_0, reverse variance); the last step adds no noise."""
    for t, s in pairwise(steps):
        x_0, share = denoise(x, t)
        jump = schedule.jump(t, s)
        x = jump.weight_x_0 * x_0 + jump.weight_x_t * x
        if s > 0:
            log_variance = torch.as_tensor(jump.log_variance + share * (jump.log_beta - jump.log_variance))
            x = x + torch.exp(0.5 * log_variance) * torch.randn_like(x)
    return x


def ddim(denoise: Denoiser, x: Tensor, schedule: NoiseSchedule, steps: Sequence[int]) -> Tensor:
    """x_s = a_s x_0 + s_s eps with the predicted pair: deterministic, first order."""
    for t, s in pairwise(steps):
        x_0 = denoise(x, t).x_0
        (a_t, s_t), (a_s, s_s) = _scales(schedule, t), _scales(schedule, s)
        x = a_s * x_0 + (s_s / s_t) * (x - a_t * x_0)
    return x


def dpm_solver(denoise: Denoiser, x: Tensor, schedule: NoiseSchedule, steps: Sequence[int]) -> Tensor:
    """DDIM with x_0 extrapolated from the last two predictions: deterministic, second order in h = d log(a / s)."""
    previous, previous_h = None, math.nan
    for t, s in pairwise(steps):
        x_0 = denoise(x, t).x_0
        if s == 0:
            return x_0
        (a_t, s_t), (a_s, s_s) = _scales(schedule, t), _scales(schedule, s)
        h = math.log(a_s / s_s) - math.log(a_t / s_t)
        slope = 0.0 if previous is None else (x_0 - previous) * (0.5 * h / previous_h)
        x = (s_s / s_t) * x - a_s * math.expm1(-h) * (x_0 + slope)
        previous, previous_h = x_0, h
    return x


def _scales(schedule: NoiseSchedule, t: int) -> tuple[float, float]:
    """(a_t, s_t)."""
    return math.sqrt(schedule.alpha_bar[t]), math.sqrt(1.0 - schedule.alpha_bar[t])


SAMPLERS: dict[str, Sampler] = {"ancestral": ancestral, "ddim": ddim, "dpm_solver": dpm_solver}
