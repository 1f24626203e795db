"""Shortcut models (Frans, Hafner, Levine & Abbeel 2024, arXiv 2410.12557): the step size is an input of the network.

Differs from the paper
- Time runs from 0 (data) to 1 (noise).
- Targets are those of the current weights, not of their running average.
- Guidance is that of the sampler, and not part of the targets.
- The times of flow matching are spread evenly over [0, 1) from one random start.
- Integer levels get uniform noise in training; the network is a small U-Net on pixels, in `shortcut_paper` a DiT.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.models.diffusion.flow_map import AverageVelocity, FlowMap, MapSampler
from genarena.models.diffusion.samplers import DiffusionSampler
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class Shortcut(AverageVelocity):
    """E |s(x_t, t, 0) - (eps - x_0)|^2  +  E |s(x_t, t, 2d) - s_target|^2   (eq. 5), without a gradient in the target,

    s_target = (s(x_t, t, d) + s(x_{t-d}, t - d, d)) / 2,  x_{t-d} = x_t - d s(x_t, t, d): one step of 2d is two of d.

    most_steps_taught: M, a power of two; 2d is 1, 1/2, ..., 2/M, and t a multiple of it. Steps of 1/M and less are flow
    matching. consistent_share: share of a batch in the second term. net: a network of `conf/net`. dequantisation: noise on
    integer levels in training, none or uniform. Raises ValueError for another M.
    """

    paper = "2410.12557"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: MapSampler | DiffusionSampler = FlowMap(),  # noqa: B008 - frozen
        most_steps_taught: Count = 128,
        consistent_share: Share = 0.25,
        dequantisation: Literal["none", "uniform"] = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        if most_steps_taught < 2 or most_steps_taught & (most_steps_taught - 1):
            raise ValueError(f"most_steps_taught={most_steps_taught}: expected a power of two, from 2 on")
        super().__init__(spec, net, training, sampler, dequantisation, condition_dropout)
        self.most_steps_taught, self.consistent_share = most_steps_taught, consistent_share
        self.doublings = round(math.log2(most_steps_taught))

    def told(self, d: Tensor) -> Tensor:
        """log2 of the step, from 0 for 1/M and less to 1 for the whole path."""
        return 1.0 + d.clamp_min(1.0 / self.most_steps_taught).log2() / self.doublings

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors per dimension, averaged over the batch: of one network call for both terms."""
        x_0 = self.training_points(batch.x)
        eps, context = torch.randn_like(x_0), self.context(batch.y, len(x_0))
        num = round(self.consistent_share * len(x_0))
        t, step = even_times(len(x_0), x_0.device), torch.zeros(len(x_0), device=x_0.device)
        t[:num], step[:num] = self.steps(num, x_0.device)
        x_t, target = torch.lerp(x_0, eps, column(t, x_0)), eps - x_0
        if num:
            target[:num] = self.two_steps(
                x_t[:num], t[:num], 0.5 * step[:num], None if context is None else context[:num]
            )
        error = (self.average(x_t, t, step, context) - target).square().flatten(1).mean(1)
        terms = {"consistency": error[:num].mean()} if num else {}
        return {"loss": error.mean(), **({"flow_matching": error[num:].mean()} if num < len(error) else {}), **terms}

    def steps(self, num: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Times t and steps 2d (num,): 2d = 2^-j, j uniform in 0 .. log2(M) - 1, and t uniform in 2d, 4d, ..., 1."""
        step = 0.5 ** torch.randint(self.doublings, (num,), device=device).float()
        return (1.0 + (torch.rand(num, device=device) / step).floor()).mul(step).clamp_max(1.0), step

    @torch.no_grad()
    def two_steps(self, x_t: Tensor, t: Tensor, d: Tensor, context: Tensor | None) -> Tensor:
        """The mean velocity (N, *shape) of two steps of d (N,) from t (N,)."""
        first = self.average(x_t, t, d, context)
        return 0.5 * (first + self.average(x_t - column(d, x_t) * first, t - d, d, context))
