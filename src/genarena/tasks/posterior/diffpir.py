"""Plug-and-play restoration with a denoiser (Zhu, Zhang, Liang, Cao, Wen, Timofte & Van Gool 2023, arXiv 2305.08995, alg. 1).

Differs from the paper: steps at even times.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoiser, DiffusionSampler, Noise
from genarena.options.values import Positive, Share
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior import prox
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.guided import Guided


@dataclass(frozen=True)
class DiffPIR(Guided):
    """D_y = argmin_u |y - A u|^2 + rho |u - D|^2, rho = weight sigma^2 a^2 / s^2, then a step that keeps the share 1 - zeta of
    the predicted noise.

    weight: lambda of the paper; null: chosen on validation images. zeta: share of the noise that is drawn anew.
    """

    name = "diffpir"
    exactness = "heuristic"
    paper = "2305.08995"
    strength: ClassVar[str] = "weight"
    strengths: ClassVar[tuple[float, ...]] = (1.0, 3.0, 7.0, 25.0)

    weight: Positive | None = None
    zeta: Share = 0.3

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        return prox.mode(problem, prior(x, level).x_0, self.weight * (problem.sigma / level.sigma) ** 2)

    def method(self) -> DiffusionSampler:
        return Renewing(nfe=self.num_steps, zeta=self.zeta)


@dataclass(frozen=True)
class Renewing(DiffusionSampler):
    """x_s = a_s x_0 + s_s (sqrt(1 - zeta) eps + sqrt(zeta) n), eps as predicted, n drawn: DDIM with zeta = 0."""

    zeta: Share = 0.0

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        for start, end in pairwise(levels):
            x_0 = denoise(x, start).x_0
            eps = (x - start.a * x_0) / start.s
            x = end.a * x_0 + end.s * math.sqrt(1.0 - self.zeta) * eps
            if end.s:
                x = x + end.s * math.sqrt(self.zeta) * noise(x)
        return x
