"""Heun's method in sigma = s / a, with noise that is added and taken away (Karras et al. 2022, arXiv 2206.00364).

Algorithm 1 with `churn` 0, algorithm 2 with more. The noise levels are those of the paper's eq. 5, whatever path the model was
trained on: a denoiser of one path serves all of them.

Differs from the paper: predictions are clipped to the range of the data, as in the other samplers (`clip: false`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from genarena.models.diffusion import paths
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoiser, Heun, Noise
from genarena.options.values import Count, NonNegative, Positive


@dataclass(frozen=True)
class EDMHeun(Heun):
    """dx / d(sigma) = (x - x_0) / sigma by the trapezoidal rule, the last step to sigma = 0 by Euler's method.

    sigma_min, sigma_max, rho: noise levels, even in sigma^(1 / rho), with a = 1. churn: S_churn, in total over all steps; only
    where sigma is between churn_min and churn_max (null: no upper end); churn_noise: S_noise, the factor on added noise.
    """

    nfe: Count | None = 35
    sigma_min: Positive = 0.002
    sigma_max: Positive = 80.0
    rho: Positive = 7.0
    churn: NonNegative = 0.0
    churn_min: NonNegative = 0.0
    churn_max: Positive | None = None
    churn_noise: Positive = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sampler.sigma_min={self.sigma_min:g}: expected less than sigma_max, {self.sigma_max:g}")
        if self.churn_max is not None and self.churn_min > self.churn_max:
            raise ValueError(f"sampler.churn_min={self.churn_min:g}: expected at most churn_max, {self.churn_max:g}")

    def levels(self, path: Callable[[int], list[Level]], most: int | None) -> list[Level]:
        return paths.levels(
            partial(paths.edm, least=self.sigma_min, most=self.sigma_max, rho=self.rho), self.num_steps(most)
        )

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        """x (N, *shape) at levels[0] to x at levels[-1]; all of them with a = 1."""
        gamma = min(self.churn / (len(levels) - 1), math.sqrt(2.0) - 1.0)
        for start, end in pairwise(levels):
            x, start = self._churned(x, start, gamma, noise)
            slope = (x - denoise(x, start).x_0) / start.s
            trial = x + (end.s - start.s) * slope
            if end.s:
                slope = 0.5 * (slope + (trial - denoise(trial, end).x_0) / end.s)
                trial = x + (end.s - start.s) * slope
            x = trial
        return x

    def _churned(self, x: Tensor, level: Level, gamma: float, noise: Noise) -> tuple[Tensor, Level]:
        """x with more noise, and its level, by the factor 1 + gamma."""
        highest = math.inf if self.churn_max is None else self.churn_max
        if not gamma or not self.churn_min <= level.s <= highest:
            return x, level
        raised = Level(1.0, (1.0 + gamma) * level.s)
        added = math.sqrt(raised.s**2 - level.s**2) * self.churn_noise
        return x + added * noise(x), raised
