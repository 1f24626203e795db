"""Consistency models (Song, Dhariwal, Chen & Sutskever 2023, arXiv 2303.01469), trained from scratch.

The training is that of Song & Dhariwal 2023, arXiv 2310.14189 (iCT): no second network, a pseudo-Huber distance, noise levels
ln t ~ N(P_mean, P_std^2); with the pairs of times of Geng et al. 2024, arXiv 2406.14548 (ECT), which have no grid: r goes from
0, where the target is the data, to nearly t.

Differs from the papers
- r / t is doubled towards 1 at even parts of the first half of the training, and stays then.
- The noise levels of a batch are spread evenly over their distribution, from one random start.
- The levels of sampling with more than one evaluation are even in the angle arctan(sigma / sigma_data).
- Integer levels get uniform noise in training; the network is a small U-Net on pixels.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood, from_space
from genarena.models.diffusion.flow_map import Jumps, Restarts
from genarena.models.diffusion.noised_data import Dequantisation, NoisedData
from genarena.models.diffusion.paths import DATA, Level
from genarena.models.diffusion.preconditioning import MOST, c_noise, preconditioning
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.conditioning import sizes
from genarena.options.values import NonNegative, Positive, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

SLOPE, SHARPNESS = 8.0, 1.0  # k and b of ECT's n(t) = 1 + k sigmoid(-b t)


class Consistency(Jumps, NoisedData):
    """min_theta E w(t, r) d(f(x_0 + t eps, t), sg f(x_0 + r eps, r)),  w = 1 / (t - r),  d = sqrt(|.|^2 + c^2) - c,

    f(x, t) = c_skip x + c_out F(c_in x, ln(t) / 4) with f(x, 0) = x, by c_skip and c_out of EDM (arXiv 2206.00364, table 1);
    noise, dropout and condition are the same at both times. r = max(0, t (1 - n(t) / 2^a)), n(t) = 1 + 8 sigmoid(-t), where a
    grows from 0 to `doublings` in the share `curriculum` of the training.

    sigma_data: standard deviation of the data, levels in [-1, 1]. noise_mean, noise_std: P_mean and P_std of ln t. huber: c
    over the square root of the number of dimensions. net: a network of `conf/net`, F. dequantisation: noise on levels in
    training, none or uniform.
    """

    family = "diffusion"
    likelihood = Likelihood.NONE
    paper = "2303.01469"
    mixed_precision = True
    shardable = True
    conditional = True
    guides = True
    samplers = Restarts

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: Restarts = Restarts(),  # noqa: B008 - frozen
        sigma_data: Positive = 0.5,
        noise_mean: float = -1.1,
        noise_std: Positive = 2.0,
        doublings: Whole = 8,
        curriculum: Share = 0.5,
        huber: NonNegative = 0.00054,
        dequantisation: Dequantisation = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        super().__init__(spec, training, condition_dropout, dequantisation)
        self.sigma_data, self.noise_mean, self.noise_std = sigma_data, noise_mean, noise_std
        self.doublings, self.ramp, self.huber = doublings, curriculum, huber * spec.num_dims**0.5
        channels = spec.shape[0]
        self.network = net(channels, channels, spec.shape, *sizes(spec.condition, condition_dropout))
        self.use(sampler)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Over the square root of the number of dimensions; `difference`: the squared one per dimension, not weighed."""
        x_0 = self.training_points(batch.x)
        u = even_times(len(x_0), x_0.device).clamp(1e-6, 1.0 - 1e-6)
        t = (self.noise_mean + self.noise_std * torch.special.ndtri(u)).exp()
        r = self.nearer(t)
        off = self.difference(x_0, torch.randn_like(x_0), t, r, self.context(batch.y, len(x_0)))
        squared = off.square().flatten(1).sum(1)
        distance = (squared + self.huber**2).sqrt() - self.huber
        scale = off[0].numel()
        return {"loss": (distance / (t - r)).mean() / scale**0.5, "difference": squared.mean() / scale}

    def nearer(self, t: Tensor) -> Tensor:
        """r (N,), below t, at this point of the training."""
        stage = min(self.doublings, int(self.ramped * (self.doublings + 1)))
        n = 1.0 + SLOPE * torch.sigmoid(-SHARPNESS * t)
        return (t * (1.0 - n / 2.0**stage)).clamp_min(0.0)

    def difference(self, x_0: Tensor, eps: Tensor, t: Tensor, r: Tensor, context: Tensor | None = None) -> Tensor:
        """f(x_t, t) - f(x_r, r) (N, *shape), without a gradient in the second one."""
        devices = [x_0.device] if x_0.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices):  # dropout draws the same numbers again
            target = self.map(x_0 + column(r, x_0) * eps, r, context) if r.any() else x_0
        return self.map(x_0 + column(t, x_0) * eps, t, context) - target

    def map(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """f(x, t), float32 (N, *shape), of x = x_0 + t eps; t (N,)."""
        sigma = column(t, x)
        c_skip, c_out, c_in = preconditioning(torch.ones_like(sigma), sigma, self.sigma_data)
        return c_skip * x + c_out * self.network(c_in * x, c_noise(t), context).float()

    def jump(self, x: Tensor, start: Level, end: Level, context: Tensor | None = None) -> Tensor:
        """f at a level of any path. Raises ValueError for another end than the data."""
        if end != DATA:
            raise ValueError(f"end={end}: a consistency model knows the way to the data alone, {DATA}")
        return self.map(x / start.a, torch.full((len(x),), start.sigma, device=x.device), context)

    def levels(self, num_steps: int) -> list[Level]:
        """num_steps + 1 levels with a = 1 from sigma = 80 to the data."""
        first = math.atan(MOST / self.sigma_data)
        between = [math.tan(first * (1.0 - k / num_steps)) * self.sigma_data for k in range(1, num_steps)]
        return [Level(1.0, sigma) for sigma in (MOST, *between)] + [DATA]

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): levels, or floats for continuous data."""
        noise = MOST * torch.randn(num_samples, *self.spec.shape, device=self.device)
        x = self.sampler(self.guided_jump(y, num_samples), noise, self.levels(self.sampler.nfe))
        return from_space(x, self.spec)

    @property
    def nfe(self) -> int:
        return self.sampler.evaluations()
