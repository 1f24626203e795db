"""The deterministic way from data to noise and back, of a model that denoises: DDIM and DDIM inversion.

Song, Meng & Ermon 2020, arXiv 2010.02502, eq. 13 and 14: Euler's method on the probability flow, in both directions. The code
of x is x_1 / s(1), which for N(m, S) tends to S^(-1/2) (x - m) as the steps grow.

Differs from the paper: the flow ends at the time `FIRST`, where x = x_t / a; there is no noise to predict at 0. Predictions are
not clipped, because a clipped step cannot be undone.
"""

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import DDIM, Denoised

FIRST = 1e-3  # the time at which the data is


class Flow:
    """The levels of a model's path at even times, `num_steps` steps, and its denoiser there.

    last: the largest time. nfe: network evaluations so far, of each example.
    """

    def __init__(
        self, model: Denoises, num_steps: int, y: Tensor | None = None, last: float = 1.0, first: float = FIRST
    ) -> None:
        self.model, self.y, self.nfe = model, y, 0
        t = torch.linspace(last, first, num_steps + 1, dtype=torch.float64).to(torch.float32)
        a, s = (part.double().tolist() for part in model.marginal(t.to(model.device)))
        self.levels = [Level(*each) for each in zip(a, s, strict=True)]
        self._times = dict(zip(self.levels, t.tolist(), strict=True))

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        self.nfe += 1
        t = torch.full((len(x),), self._times[level], device=x.device)
        return Denoised(self.model.denoise(x, t, self.y).to(x.dtype))

    def to_noise(self, x: Tensor) -> Tensor:
        """x_0 (N, *shape) in [-1, 1] to its code, of the same shape."""
        return DDIM()(self, self.levels[-1].a * x, self.levels[::-1]) / self.levels[0].s

    def to_data(self, z: Tensor) -> Tensor:
        """The inverse, up to the error of the steps."""
        return DDIM()(self, self.levels[0].s * z, self.levels) / self.levels[-1].a
