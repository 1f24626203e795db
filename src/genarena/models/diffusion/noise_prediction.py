"""Models in continuous time whose network predicts the noise, on any Gaussian path: x = a x_0 + s eps.

In sigma = s / a and z = x / sqrt(a^2 + s^2), which has unit variance on all paths for data that has, every path is the same:
z = x_0 cos(phi) + eps sin(phi) with tan(phi) = sigma. So is its probability flow (Song et al. 2021, arXiv 2011.13456, eq. 13),

    dz / d(ln sigma) = sin(phi) (eps - sin(phi) z),

and a model's own path decides only which noise levels are trained on, how often, and which time the network is told.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from genarena.models.diffusion.continuous_time import ContinuousDiffusion
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised
from genarena.models.diffusion.times import column


class NoisePrediction(ContinuousDiffusion):
    """eps = `noise_in(z, sigma)`; a subclass says between which noise levels (`ends_of_sigma`), and which times they have.

    Beyond these levels the network is told the last one.
    """

    @property
    @abstractmethod
    def ends_of_sigma(self) -> tuple[float, float]:
        """The least and the most noise s / a of training."""

    @abstractmethod
    def time_of(self, sigma: Tensor) -> Tensor:
        """The time (N,) that the network is told at noise levels s / a (N,) of training."""

    def noise_in(self, z: Tensor, sigma: Tensor, context: Tensor | None) -> Tensor:
        """The network's eps (N, *shape) in z, at noise levels s / a (N,)."""
        return self.outputs(z, self.time_of(sigma.clamp(*self.ends_of_sigma)), context)

    def velocity(self, z: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        """dz / d(ln sigma), time = ln sigma."""
        sine = math.sin(math.atan(math.exp(time)))
        sigma = torch.full((len(z),), math.exp(time), device=z.device)
        return sine * (self.noise_in(z, sigma, context) - sine * z)

    @property
    def times(self) -> tuple[float, float]:
        """ln sigma at both ends."""
        least, most = self.ends_of_sigma
        return math.log(least), math.log(most)

    @property
    def scale(self) -> float:
        """cos(phi) at the least noise."""
        return math.cos(math.atan(self.ends_of_sigma[0]))

    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        return Denoised(self._posterior_mean(x, *torch.tensor(level, device=x.device).expand(len(x), 2).T, context))

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t] (N, *shape) at times t (N,) in [0, 1]."""
        return self._posterior_mean(x_t, *self.marginal(t), self.context(y, len(x_t)))

    def _posterior_mean(self, x: Tensor, a: Tensor, s: Tensor, context: Tensor | None) -> Tensor:
        """x_0 = (z - sin(phi) eps) / cos(phi) (N, *shape); at more noise than in training, that at the most noise."""
        phi = torch.atan2(s, a).clamp_max(math.atan(self.ends_of_sigma[1]))
        own = torch.where(s > 0.0, phi.sin() / s, 1.0 / a)  # 1 / sqrt(a^2 + s^2) up to the most noise
        z = column(own, x) * x
        return (z - column(phi.sin(), x) * self.noise_in(z, phi.tan(), context)) / column(phi.cos(), x)
