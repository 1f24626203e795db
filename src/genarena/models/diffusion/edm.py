"""EDM (Karras, Aittala, Aila & Laine 2022, arXiv 2206.00364): a preconditioned denoiser in sigma, and Heun's method.

Differs from the paper
- The noise levels of a training batch are spread evenly over their distribution, from one random start.
- No augmentation of the images that the network is told of (the paper's appendix F.2).
- Samplers clip predictions to the range of the data.
- A condition is dropped for some training examples, for guidance (Ho & Salimans 2022, arXiv 2207.12598).
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.models.diffusion.continuous_time import ContinuousDiffusion
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.paths import Level, edm, levels
from genarena.models.diffusion.preconditioning import MOST, c_noise, preconditioning
from genarena.models.diffusion.samplers import Denoised, DiffusionSampler
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.options.values import Positive, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

RHO = 7.0


class EDM(ContinuousDiffusion):
    """min_theta E_{sigma, n} lambda(sigma) |D(x_0 + n; sigma) - x_0|^2,  n ~ N(0, sigma^2 I), ln sigma ~ N(P_mean, P_std^2),

    D(x; sigma) = c_skip x + c_out F_theta(c_in x, ln(sigma) / 4),   lambda = 1 / c_out^2   (eq. 7 and 8, table 1).

    net: a network of `conf/net`, F. sigma_data: standard deviation of the data, levels
    in [-1, 1]. noise_mean, noise_std: P_mean and P_std. dequantisation: noise on integer levels in training, none or uniform.
    """

    paper = "2206.00364"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: DiffusionSampler = EDMHeun(),  # noqa: B008 - frozen
        sigma_data: Positive = 0.5,
        noise_mean: float = -1.2,
        noise_std: Positive = 1.2,
        dequantisation: Literal["none", "uniform"] = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        super().__init__(spec, net, training, sampler, dequantisation, condition_dropout)
        self.sigma_data, self.noise_mean, self.noise_std = sigma_data, noise_mean, noise_std
        self.times, self.scale = (0.0, math.atan(MOST / sigma_data)), 1.0 / sigma_data

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """lambda |D - x_0|^2 per dimension, which is the squared error of F, because lambda c_out^2 = 1."""
        x_0 = self.training_points(batch.x)
        u = even_times(len(x_0), x_0.device).clamp(1e-6, 1.0 - 1e-6)
        sigma = (self.noise_mean + self.noise_std * torch.special.ndtri(u)).exp()
        x = x_0 + column(sigma, x_0) * torch.randn_like(x_0)
        c_skip, c_out, c_in = preconditioning(torch.ones_like(x_0), column(sigma, x_0), self.sigma_data)
        output = self.outputs(c_in * x, c_noise(sigma), self.context(batch.y, len(x_0)))
        return {"loss": (output - (x_0 - c_skip * x) / c_out).square().mean()}

    def levels(self, num_steps: int) -> list[Level]:
        return levels(edm, num_steps)

    def velocity(self, z: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        """dz / d(phi) = -F, with z = c_in x and sigma = sigma_data tan(phi), phi = 0 at the data.

        It is dx / d(sigma) = (x - D) / sigma in these coordinates, in which nothing is divided by sigma.
        """
        sigma = torch.full((len(z),), self.sigma_data * math.tan(time), device=z.device)
        return -self.outputs(z, c_noise(sigma), context)

    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        return Denoised(self._posterior_mean(x, *torch.tensor(level, device=x.device).expand(len(x), 2).T, context))

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t] (N, *shape) at times t (N,) in [0, 1]; below sigma = 0.002 the network sees 0.002."""
        return self._posterior_mean(x_t, *self.marginal(t), self.context(y, len(x_t)))

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a = 1 and s = 80 t^7, (N,)."""
        return torch.ones_like(t), MOST * t**RHO

    def _posterior_mean(self, x: Tensor, a: Tensor, s: Tensor, context: Tensor | None) -> Tensor:
        """D (N, *shape) of x = a x_0 + s eps; a and s (N,)."""
        c_skip, c_out, c_in = preconditioning(column(a, x), column(s, x), self.sigma_data)
        return c_skip * x + c_out * self.outputs(c_in * x, c_noise(s / a), context)
