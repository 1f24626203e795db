"""Samplers: from noise back to data, all with one signature, `sampler(denoise, x, levels, noise) -> x`.

denoise(x, level) predicts the data from x = a x_0 + s eps, and gives the reverse variance (`Denoised`). levels (a, s) go from
noise to data (`paths.py`); a sampler knows nothing else of the model. It starts at levels[0] and returns x at levels[-1].

Ancestral: Ho et al. 2020, arXiv 2006.11239, algorithm 2, respaced as in Nichol & Dhariwal 2021, arXiv 2102.09672, sec. 4.
DDIM: Song, Meng & Ermon 2020, arXiv 2010.02502, eq. 12 with sigma = 0; on the straight line it is Euler's method.
Heun: Karras et al. 2022, arXiv 2206.00364, algorithm 1. DPM-Solver++ 2M and 3M: Lu et al. 2022, arXiv 2211.01095, algorithm 2.
In files of their own: `unipc.py`, `predictor_corrector.py`, `edm_sampler.py`, `given_betas.py`.

Differs from the papers
- DPM-Solver++ has the order of the predictions there are: first in the first step, second in the second; and in a step to
  zero noise, which is h = infinity, it returns the last prediction.
- Heun's method is on the straight line instead of in sigma = s / a, where the first step of a variance-preserving schedule,
  from sigma of thousands, would ruin it.
- Third order: D_2 is twice the second divided difference; without the factor the order is 2.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from genarena.errors import counted
from genarena.models.diffusion.paths import Level, jump
from genarena.models.sampler import Sampler
from genarena.options.values import Count


class Denoised(NamedTuple):
    """`x_0`: predicted data. `share`: where the reverse log-variance lies between posterior (0) and beta (1)."""

    x_0: Tensor
    share: Tensor | float = 0.0


MOST_STEPS = 10_000  # in continuous time: far beyond where more of them change a sample
Denoiser = Callable[[Tensor, Level], Denoised]
Noise = Callable[[Tensor], Tensor]  # standard normal numbers of the shape, type and device of its argument


@dataclass(frozen=True)
class DiffusionSampler(Sampler):
    """What all samplers of diffusion models share.

    nfe: network evaluations per sample, at most as many steps as the model's schedule has; null: every step of it, for models
        that have one.
    guidance: s in E[x_0 | x] + s (E[x_0 | x, y] - E[x_0 | x]): 0 unconditional, 1 conditional.
    clip: move predictions into the range of the data, in which every posterior mean lies.
    """

    stages: ClassVar[int] = 1  # evaluations per step; the last step, to zero noise, takes one
    nfe: Count | None = 20
    clip: bool = True

    @abstractmethod
    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        """x (N, *shape) at levels[0] to x at levels[-1]; noise: where a step adds some."""

    def draw(self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], ends: tuple[Any, Any]) -> Tensor:
        """`__call__`, with predictions clipped to `ends`, the range of the data, if `clip` is on."""
        return self(clipped(denoise, *ends) if self.clip else denoise, x, levels)

    def levels(self, path: Callable[[int], list[Level]], most: int | None) -> list[Level]:
        """The levels to visit; path: number of steps to the levels of the model's own path."""
        return path(self.num_steps(most))

    def num_steps(self, most: int | None) -> int:
        """Steps that `nfe` evaluations allow, in a schedule of `most` steps, or in continuous time (None).

        Raises ValueError for more steps than there are, and in continuous time for `nfe` null and more than `MOST_STEPS`.
        """
        if self.nfe is None and most is None:
            raise ValueError("sampler.nfe=null: expected a number, because the time of the model is continuous")
        steps = most if self.nfe is None else self._steps_in(self.nfe)
        if most is None and steps > MOST_STEPS:
            highest = self._made_in(MOST_STEPS)
            raise ValueError(
                f"sampler.nfe={self.nfe}: expected at most {highest}, for {MOST_STEPS} steps of continuous time"
            )
        if most is not None and steps > most:
            highest = self._made_in(most)
            raise ValueError(
                f"sampler.nfe={self.nfe}: expected at most {highest}, for a schedule of {counted(most, 'step')}"
            )
        return steps

    def evaluations(self, most: int | None) -> int:
        """Network evaluations of one sample; guidance needs two predictions at each place."""
        return self._made_in(self.num_steps(most)) * self.predictions

    def draws(self, most: int | None) -> int:
        """At most how often a sample asks for noise."""
        return self.num_steps(most)

    def _made_in(self, num_steps: int) -> int:
        return self.stages * (num_steps - 1) + 1

    def _steps_in(self, nfe: int) -> int:
        """The most steps that take at most `nfe` evaluations."""
        return -(-nfe // self.stages)


@dataclass(frozen=True)
class Ancestral(DiffusionSampler):
    """x_s ~ N(posterior mean at the predicted x_0, reverse variance); a step to the data adds no noise."""

    nfe: Count | None = 50

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        for start, end in pairwise(levels):
            x_0, share = denoise(x, start)
            step = jump(start, end)
            x = step.weight_x_0 * x_0 + step.weight_x_t * x
            if end.s:
                log_variance = torch.as_tensor(step.log_variance + share * (step.log_beta - step.log_variance))
                x = x + torch.exp(0.5 * log_variance) * noise(x)
        return x


@dataclass(frozen=True)
class DDIM(DiffusionSampler):
    """x_s = a_s x_0 + s_s eps with the predicted pair: deterministic, first order."""

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        for start, end in pairwise(levels):
            x = _euler(x, denoise(x, start).x_0, start, end)
        return x


@dataclass(frozen=True)
class Heun(DiffusionSampler):
    """The trapezoidal rule on dz / du = (z - x_0) / u, z = x / (a + s), u = s / (a + s): deterministic, second order.

    n steps take 2 n - 1 evaluations, because a step to zero noise takes one; an even `nfe` leaves one unused.
    """

    stages = 2

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        for start, end in pairwise(levels):
            x_0 = denoise(x, start).x_0
            trial = _euler(x, x_0, start, end)
            if end.s:
                (z, u), (z_end, u_end) = (
                    (y / sum(level), level.s / sum(level)) for y, level in ((x, start), (trial, end))
                )
                slopes = (z - x_0) / u + (z_end - denoise(trial, end).x_0) / u_end
                trial = sum(end) * (z + 0.5 * (u_end - u) * slopes)
            x = trial
        return x


@dataclass(frozen=True)
class DPMSolver(DiffusionSampler):
    """DDIM with x_0 extrapolated in lambda = log(a / s) from the last predictions: deterministic, of order 2 or 3.

    With h = lambda_s - lambda_t and D_k the k-th derivative of x_0 in lambda / h:
    x_s = (s_s / s_t) x - a_s (phi_1 x_0 - phi_2 D_1 + phi_3 D_2), phi_1 = exp(-h) - 1, phi_(k+1) = phi_k / h + 1 / k!.
    """

    order: Literal[2, 3] = 2

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        seen: list[tuple[float, Tensor]] = []  # lambda and x_0, the newest last
        for start, end in pairwise(levels):
            x_0 = denoise(x, start).x_0
            if start.a:  # from pure noise, lambda = -infinity, no difference can be taken
                seen = [*seen, (start.log_snr, x_0)][-self.order :]
            if end.s == 0.0:
                x = end.a * x_0
                continue
            x = _euler(x, x_0, start, end)
            if len(seen) > 1:
                x = x + end.a * _correction(seen, end.log_snr - start.log_snr)
        return x


def _euler(x: Tensor, x_0: Tensor, start: Level, end: Level) -> Tensor:
    return end.a * x_0 + (end.s / start.s) * (x - start.a * x_0)


def _correction(seen: Sequence[tuple[float, Tensor]], h: float) -> Tensor:
    """phi_2 D_1 - phi_3 D_2 from two or three predictions.

    Two: D_2 = 0, and phi_2 is replaced by -phi_1 / 2, its value for small h, as in algorithm 2.
    """
    phi_1 = math.expm1(-h)
    (now, x_0), (before, previous) = seen[-1], seen[-2]
    ratio = (now - before) / h
    slope = (x_0 - previous) / ratio
    if len(seen) == 2:
        return -0.5 * phi_1 * slope
    further, older = seen[-3]
    ratio_before = (before - further) / h
    slope_before = (previous - older) / ratio_before
    difference = (slope - slope_before) / (ratio + ratio_before)
    phi_2 = phi_1 / h + 1.0
    return phi_2 * (slope + ratio * difference) - (phi_2 / h - 0.5) * 2.0 * difference


def clipped(denoise: Denoiser, low: Tensor | float, high: Tensor | float) -> Denoiser:
    """The denoiser with its predictions moved into [low, high]."""

    def inside(x: Tensor, level: Level) -> Denoised:
        x_0, share = denoise(x, level)
        return Denoised(x_0.clip(low, high), share)

    return inside


def guided(conditional: Denoiser, unconditional: Denoiser, guidance: float) -> Denoiser:
    """E[x_0|x] + s (E[x_0|x,y] - E[x_0|x]) (Ho & Salimans 2022, arXiv 2207.12598, eq. 6, with s = 1 + w).

    0 and 1 need one prediction only. The reverse variance is the conditional one.
    """
    if guidance in (0.0, 1.0):
        return conditional if guidance else unconditional

    def mixed(x: Tensor, level: Level) -> Denoised:
        without = unconditional(x, level).x_0
        x_0, share = conditional(x, level)
        return Denoised(without + guidance * (x_0 - without), share)

    return mixed
