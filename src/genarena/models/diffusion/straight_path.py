"""Models of the velocity of straight paths: x_t = (1 - t) x_0 + t eps, and E[x_0 | x_t] = x_t - t v(x_t, t)."""

import torch
from torch import Tensor

from genarena.models.diffusion.continuous_time import ContinuousDiffusion
from genarena.models.diffusion.paths import Level, levels, straight
from genarena.models.diffusion.samplers import Denoised
from genarena.models.diffusion.times import column


class StraightPath(ContinuousDiffusion):
    """v = E[eps - x_0 | x_t], the velocity of an ODE from data to noise, is what `outputs` gives."""

    times, scale = (0.0, 1.0), 1.0

    def levels(self, num_steps: int) -> list[Level]:
        return levels(straight, num_steps)

    def velocity(self, z: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        return self.outputs(z, torch.full((len(z),), time, device=z.device), context)

    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        total = level.a + level.s
        x, t = x / total, level.s / total
        return Denoised(x - t * self.velocity(x, t, context))

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t] (N, *shape) at times t (N,) in [0, 1]."""
        return x_t - column(t, x_t) * self.outputs(x_t, t, self.context(y, len(x_t)))

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a = 1 - t and s = t, (N,)."""
        return 1.0 - t, t
