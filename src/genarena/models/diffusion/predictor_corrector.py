"""Predictor-corrector sampling (Song et al. 2021, arXiv 2011.13456, algorithms 1, 4 and 5), and annealed Langevin dynamics.

At each noise level come Langevin steps that leave its marginal as it is (corrector), then a step to the next level
(predictor), as in the authors' code. Without a predictor it is annealed Langevin dynamics (Song & Ermon 2019, arXiv 1907.05600,
algorithm 1), whose step sizes are epsilon s^2 / s_last^2.

Differs from the papers
- The step size 2 (snr |z| / |score|)^2 has the norms that they have on average over pure noise, |z| / |score| = s. So no sample
  depends on the others of its batch, over which the authors average the norms, and data of two dimensions, where a norm
  is often near zero, can be sampled. On a variance-preserving path it has no factor alpha, which tends to 1 for many steps.
- The predictor is ancestral (section F of the paper) or deterministic (`ddim`). A step to the data adds no noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import DDIM, Ancestral, Denoiser, DiffusionSampler, Noise
from genarena.options.values import Count, Positive

PREDICTORS = {"ancestral": Ancestral(), "ddim": DDIM()}


@dataclass(frozen=True)
class PredictorCorrector(DiffusionSampler):
    """x <- x + step * score + sqrt(2 step) z, step = 2 (snr s)^2, `corrections` times at each level; then a step to the next.

    predictor: ancestral, ddim, or none: x keeps its noise, a_s / a_t x. A sample of n levels takes n (corrections + 1)
    evaluations, without a predictor n corrections. Raises ValueError for `nfe` below one level.
    """

    nfe: Count | None = 200
    predictor: Literal["ancestral", "ddim", "none"] = "ancestral"
    corrections: Count = 1
    snr: Positive = 0.16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nfe is not None and self.nfe < self.stages:
            raise ValueError(f"sampler.nfe={self.nfe}: expected at least {self.stages}, the evaluations at one level")

    @property
    def stages(self) -> int:
        return self.corrections + (self.predictor != "none")

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like
    ) -> Tensor:
        for start, end in pairwise(levels):
            for _ in range(self.corrections):
                score = (start.a * denoise(x, start).x_0 - x) / start.s**2
                step = 2.0 * (self.snr * start.s) ** 2
                x = x + step * score + math.sqrt(2.0 * step) * noise(x)
            if self.predictor != "none":
                x = PREDICTORS[self.predictor](denoise, x, (start, end), noise)
            elif start.a:
                x = x * (end.a / start.a)
        return x

    def draws(self, most: int | None) -> int:
        return self.num_steps(most) * (self.corrections + 1)

    def _made_in(self, num_steps: int) -> int:
        return self.stages * num_steps

    def _steps_in(self, nfe: int) -> int:
        return nfe // self.stages
