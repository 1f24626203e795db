"""Diffusion in continuous time: noise on levels, and the log-density under the probability flow."""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.capabilities import Integrates
from genarena.models.diffusion.gaussian_diffusion import GaussianDiffusion
from genarena.models.diffusion.noised_data import Dequantisation
from genarena.models.diffusion.samplers import DiffusionSampler
from genarena.nets.conditioning import sizes
from genarena.options.values import Share, Whole
from genarena.spec import DataSpec
from genarena.statistics.ode import log_density
from genarena.training.module import Training


class ContinuousDiffusion(GaussianDiffusion, Integrates):
    """A network (x, t, context) of one output per dimension, and the flow dz / d(time) = `velocity`.

    z = scale x_0 at the first of `times`, and z ~ N(0, I) at the last.
    views: of the input that the network gets side by side, as channels (`outputs`).
    """

    likelihood = Likelihood.NONE  # by `log_prob`; the metrics `ode_*` integrate the flow
    times: tuple[float, float]
    scale: float

    def __init__(
        self,
        spec: DataSpec,
        net: Callable[..., nn.Module],
        training: Training | None,
        sampler: DiffusionSampler,
        dequantisation: Dequantisation,
        condition_dropout: Share,
        whitening: Whole = 0,
        views: int = 1,
    ) -> None:
        super().__init__(spec, training, condition_dropout, dequantisation, whitening)
        channels = spec.shape[0]
        self.network = net(views * channels, channels, spec.shape, *sizes(spec.condition, condition_dropout))
        self.use(sampler)

    def outputs(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """The network at inputs x (N, *shape) and t (N,), float32 (N, *shape)."""
        return self.network(x, t, context).float()

    @abstractmethod
    def velocity(self, z: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        """dz / d(time) (N, *shape), differentiable in z."""

    def ode_log_prob(
        self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str, y: Tensor | None = None
    ) -> tuple[Tensor, dict]:
        """(N,) nats of x (N, *shape), and the facts of the solution. Levels: log P(x) >= E[log p(u)] + log(volume of a bin),
        u uniform in the bin, one draw. Raises ValueError for another `dequantisation` of levels."""
        if self.spec.is_discrete and dequantisation not in self.dequantisations:
            raise ValueError(f"dequantisation={dequantisation!r}: expected one of {', '.join(self.dequantisations)}")
        u, context = self.scaled(x), self.context(y, len(x))
        if self.spec.is_discrete:
            u = self.with_noise(u)
        u, log_det = self.whitened(u, y)
        flow = log_density(partial(self.velocity, context=context), self.scale * u, self.times, tolerance, num_probes)
        per_dim = math.log(self.scale) + (math.log(self.bin_width) if self.spec.is_discrete else 0.0)
        noise = {"dequantisation": dequantisation, "dequantisation_draws": 1} if self.spec.is_discrete else {}
        return flow.log_prob + log_det + self.spec.num_dims * per_dim, flow.facts | noise
