"""MeanFlow (Geng, Deng, Bai, Kolter & He 2025, arXiv 2505.13447): the average velocity of a flow, by its own derivative.

`tangent: own` is the improved MeanFlow (Geng et al. 2025, arXiv 2512.02012, algorithm 1): along the derivative the point moves
with the velocity of the model instead of that of one pair of data and noise, so that u + (t - r) du/dt is a function of x_t.

Differs from the papers
- The same number of examples of each batch has r < t, and the derivative is taken for those alone.
- Guidance is that of the sampler, and not part of the targets.
- The improved model has no second head for the velocity: it is u(x, t, t), the paper's choice without more parameters.
- Integer levels get uniform noise in training; the network is a small U-Net on pixels.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.models.diffusion.flow_map import AverageVelocity, FlowMap, MapSampler
from genarena.models.diffusion.samplers import DiffusionSampler
from genarena.models.diffusion.times import column
from genarena.nets.by_shape import unet_or_mlp
from genarena.options.values import NonNegative, Positive, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class MeanFlow(AverageVelocity):
    """min_theta E w |u(x_t, t, r) + (t - r) sg(du/dt) - (eps - x_0)|^2,  du/dt = (v, 1) . grad u at constant r   (eq. 6 to 9),

    w = 1 / sg(|...|^2 + 1e-3)^p   (eq. 22), sg: without gradient. It holds for u = v - (t - r) du/dt, the average velocity.

    far_share: share of the examples with r < t; the others are flow matching, r = t. time_mean, time_std: of logit(t).
    tangent: v above, "data" for eps - x_0 or "own" for u(x_t, t, t). power: p.
    net: a network of `conf/net` with forward derivatives (`backend: math`). dequantisation: noise on levels in training,
    none or uniform. Raises ValueError for a network with fused attention. The losses are per dimension.
    """

    paper = "2505.13447"
    mixed_precision = False  # the derivative would lose the digits that it lives on
    shardable = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: MapSampler | DiffusionSampler = FlowMap(),  # noqa: B008 - frozen
        far_share: Share = 0.5,
        time_mean: float = -0.4,
        time_std: Positive = 1.0,
        tangent: Literal["data", "own"] = "data",
        power: NonNegative = 1.0,
        dequantisation: Literal["none", "uniform"] = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        super().__init__(spec, net, training, sampler, dequantisation, condition_dropout)
        if any(getattr(layer, "backend", "math") == "fused" for layer in self.network.modules()):
            raise ValueError(
                "net.backend=fused: this attention has no forward derivative; expected math, as in net=unet_smooth"
            )
        self.far_share, self.time_mean, self.time_std = far_share, time_mean, time_std
        self.tangent, self.power = tangent, power

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`velocity_error`: the squared error before it is weighed by w."""
        x_0 = self.training_points(batch.x)
        eps, context = torch.randn_like(x_0), self.context(batch.y, len(x_0))
        t, d = self.drawn_times(len(x_0), x_0.device)
        x_t, v = torch.lerp(x_0, eps, column(t, x_0)), eps - x_0
        far = int((d > 0).sum())  # the first ones
        parts = []
        for part in (slice(0, far), slice(far, None)):
            if len(t[part]):
                given = None if context is None else context[part]
                parts.append(self.predicted(x_t[part], t[part], d[part], v[part], given))
        error = (torch.cat(parts) - v).square().flatten(1)
        weight = (error.detach().sum(1) + 1e-3) ** -self.power
        scale = error.shape[1] ** (self.power - 1.0)  # at p = 0 the mean per dimension, at p = 1 about one
        return {"loss": scale * (weight * error.sum(1)).mean(), "velocity_error": error.mean()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The squared error is what chooses the weights: at p = 1 the weighted one is 1 whatever is learnt."""
        error = self.loss(batch)["velocity_error"]
        return {"loss": error, "velocity_error": error}

    def predicted(self, x: Tensor, t: Tensor, d: Tensor, v: Tensor, context: Tensor | None) -> Tensor:
        """u + (t - r) sg(du/dt) at examples that all have r < t, or all r = t; v: eps - x_0."""
        if not d[0] > 0:
            return self.average(x, t, d, context)
        if self.tangent == "own":
            with torch.no_grad():
                v = self.outputs(x, t, context)
        u, slope = self.average_and_slope(x, t, d, v, context)
        return u + column(d, x) * slope.detach()

    def average_and_slope(
        self, x: Tensor, t: Tensor, d: Tensor, v: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """u and du/dt = v . grad_x u + du/dt + du/dd (N, *shape), where d = t - r grows with t; by one forward derivative."""
        directions = (v, torch.ones_like(t), torch.ones_like(d))
        return torch.func.jvp(lambda x, t, d: self.average(x, t, d, context), (x, t, d), directions)

    def drawn_times(self, num: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """t and t - r (num,): the share `far_share` comes first, with t and r the larger and the smaller of two logit-normal
        times; the others have one such time. Whether r = t is decided before the two are ordered."""
        far = round(self.far_share * num)
        first, second = torch.sigmoid(self.time_mean + self.time_std * torch.randn(2, num, device=device))
        second[far:] = first[far:]
        return torch.maximum(first, second), (first - second).abs()
