"""The likelihood of a diffusion in discrete steps under its probability flow (Song et al. 2021, arXiv 2011.13456, sec. 4.3).

The variance-preserving flow is written in the angle of Salimans & Ho 2022, arXiv 2202.00512, app. D: x = cos(phi) x_0 +
sin(phi) eps gives dx/dphi = v = cos(phi) eps - sin(phi) x_0, from phi near 0 (data) to near pi/2.
"""

import math
from abc import abstractmethod
from functools import partial

import torch
from torch import Tensor

from genarena.models.capabilities import Integrates
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised
from genarena.models.diffusion.schedules import NoiseSchedule
from genarena.models.diffusion.variational_bound import VariationalBound
from genarena.spec import DataSpec
from genarena.statistics.ode import log_density


class ODELikelihood(Integrates):
    """`ode_log_prob` of a model with a schedule, a bound and a prediction of x_0."""

    dequantisations = ("model", "uniform")
    spec: DataSpec
    schedule: NoiseSchedule
    bound: VariationalBound

    @abstractmethod
    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        """The prediction, not clipped, for x (N, *shape) at a level; differentiable."""

    def ode_log_prob(
        self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str, y: Tensor | None = None
    ) -> tuple[Tensor, dict]:
        """(N,) nats under the probability flow from N(0, I) at step T to step 1 (Song et al. 2021, arXiv 2011.13456,
        sec. 4.3 and app. D.2), and the facts of its solution. Raises ValueError for an unknown `dequantisation` of levels.

        Levels: log P(x) >= E_q(u|x)[log p_1(u) + log P(x|u) - log q(u|x)]. With dequantisation="model", q is N(a_1 x_0,
        s_1^2 I) and P(x|u) the decoder, as in the variational bound: noise that the network was trained on (Zheng et al.
        2023, arXiv 2305.03935, explain why). With "uniform", q is uniform on the bin, as in Song et al.: loose for coarse
        levels, because p_1 has a narrow peak at each level. Continuous data: log p_1(x).
        """
        if self.spec.is_discrete and dequantisation not in self.dequantisations:
            raise ValueError(f"dequantisation={dequantisation!r}: expected one of {', '.join(self.dequantisations)}")
        angles, context = self.schedule.angles, self.context(y, len(x))
        u, correction = self._dequantised(x, dequantisation, context) if self.spec.is_discrete else (x, 0.0)
        flow = log_density(partial(self._velocity, context=context), u, (angles[1], angles[-1]), tolerance, num_probes)
        noise = {"dequantisation": dequantisation, "dequantisation_draws": 1} if self.spec.is_discrete else {}
        return flow.log_prob + correction, flow.facts | noise

    @abstractmethod
    def reverse(self, x_t: Tensor, t: Tensor, context: Tensor | None = None) -> Denoised:
        """Mean and variance of the reverse step at steps t (N,)."""

    def _velocity(self, x_t: Tensor, angle: float, context: Tensor | None) -> Tensor:
        """v = dx/d(angle) = (cos(angle) x - x_0) / sin(angle), with levels clipped to their range, as samplers do."""
        a, s = math.cos(angle), math.sin(angle)
        x_0 = self.denoised(x_t, Level(a, s), context).x_0
        return (a * x_t - (x_0.clamp(-1.0, 1.0) if self.spec.is_discrete else x_0)) / s

    def _dequantised(self, x: Tensor, dequantisation: str, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """u, and log P(x|u) - log q(u|x) (N,) nats."""
        x_0 = self.bound.scaled(x)
        if dequantisation == "uniform":
            width = 2.0 / (self.spec.num_levels - 1)
            log_volume = torch.full((len(x),), self.spec.num_dims * math.log(width), device=x.device)
            return x_0 + width * (torch.rand_like(x_0) - 0.5), log_volume
        eps, step = torch.randn_like(x_0), torch.ones(len(x), dtype=torch.long, device=x.device)
        u = self.schedule.diffuse(x_0, eps, step)
        denoised = self.reverse(u, step, context)
        decoder = self.bound.decoder_log_prob(x, denoised.x_0, self.schedule.log_variance(denoised.share, step))
        log_q = -0.5 * (eps.square() + math.log(2.0 * math.pi)) - self.schedule.noise[1].log()
        return u, (decoder - log_q).flatten(1).sum(1)
