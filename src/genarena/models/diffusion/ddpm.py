"""Denoising diffusion probabilistic model (Ho, Jain & Abbeel 2020, arXiv 2006.11239).

With the cosine schedule and the learned reverse variance of Nichol & Dhariwal 2021 (arXiv 2102.09672), v-prediction
(Salimans & Ho 2022, arXiv 2202.00512), DDIM (Song et al. 2020, arXiv 2010.02502) and DPM-Solver++ (Lu et al. 2022,
arXiv 2211.01095) samplers.

Differs from the papers
- The steps of a training batch are spread evenly over 1 .. T from one random start (Kingma et al. 2021, arXiv 2107.00630,
  appendix I.1).
- A learned variance is interpolated by a sigmoid of the network's output. At t = 1 the posterior variance is zero; there a
  learned standard deviation may shrink to a tenth of a bin. With the variance of step 2 as its lower limit, every black
  pixel would cost a third of a bit. A fixed variance on levels is that of step 2 at t = 1, as in Ho et al.'s code.
- The network folds blocks of pixels into channels (`patch`).
- The steps of the bound are drawn from a fixed proposal distribution instead of one estimated from past losses.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genarena.likelihood import Likelihood, bits_per_dim, from_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Integrates, Scores
from genarena.models.diffusion.probability_flow import log_density
from genarena.models.diffusion.samplers import SAMPLERS, Denoised, respaced
from genarena.models.diffusion.schedules import PREDICTIONS, SCHEDULES, NoiseSchedule
from genarena.models.diffusion.variational_bound import VariationalBound
from genarena.nets.mlp import TimeMLP
from genarena.nets.unet import UNet
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

# Reverse log-variance, between the posterior's (0) and beta's (1); None: learned
VARIANCES = {"learned": None, "posterior": 0.0, "beta": 1.0}
DEQUANTISATIONS = ("model", "uniform")
BOUND_WEIGHT = 1e-3  # lambda of L_hybrid (Nichol & Dhariwal, eq. 16); T L_t in bits/dim, at one drawn t


class DDPM(GenerativeModel, Scores, Integrates):
    """min_theta E_{t, eps} |target_t - f_theta(a_t x_0 + s_t eps, t)|^2  +  lambda T E_t L_t  (mean in L_t detached),

    -log p(x) <= KL(q(x_T|x_0) || N(0, I)) + sum_{t>1} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t)) - E log p(x_0|x_1).

    prediction: eps, v or x. schedule: cosine or linear. variance: learned, posterior or beta. sampler: ancestral, ddim or
    dpm_solver, at `nfe` steps. Vectors get a TimeMLP of `num_layers` blocks, images the U-Net. Continuous data has a
    Gaussian decoder, and should have about unit scale. Raises ValueError for an unknown name, and for an `nfe` outside
    1 .. num_steps.
    """

    family = "diffusion"
    likelihood = Likelihood.LOWER_BOUND
    paper = "2006.11239"
    mixed_precision = True
    shardable = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_steps: Count = 1000,
        schedule: str = "cosine",
        prediction: str = "v",
        variance: str = "learned",
        sampler: str = "dpm_solver",
        nfe: Count = 20,
        hidden_channels: Count = 48,
        multipliers: Sequence[int] = (1, 2),
        num_blocks: Count = 1,
        attention: Sequence[int] = (),
        patch: int | None = None,
        dropout: Share = 0.0,
        num_layers: Count = 3,
    ) -> None:
        super().__init__(spec, training)
        for name, value, allowed in (
            ("schedule", schedule, SCHEDULES),
            ("prediction", prediction, PREDICTIONS),
            ("variance", variance, VARIANCES),
            ("sampler", sampler, SAMPLERS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: expected one of {', '.join(allowed)}")
        if not 1 <= nfe <= num_steps:
            raise ValueError(f"nfe={nfe}: expected 1 to num_steps={num_steps}")
        self.fixed_share = VARIANCES[variance]
        may_be_sharp = self.fixed_share is None and spec.is_discrete
        sharpest = (0.2 / (spec.num_levels - 1)) ** 2 if may_be_sharp else math.inf
        self.schedule = NoiseSchedule(SCHEDULES[schedule](num_steps), sharpest)
        self.bound = VariationalBound(self.schedule, spec)
        self.prediction, self.sampler, self.num_evaluations = prediction, sampler, nfe
        channels = spec.shape[0]
        out_channels = channels * (2 if self.fixed_share is None else 1)
        if spec.is_image:
            size = spec.shape[1:]
            patch = patch or (2 if min(size) >= 16 else 1)
            self.network = UNet(
                channels, out_channels, size, hidden_channels, multipliers, num_blocks, attention, patch, dropout
            )
        else:
            self.network = TimeMLP(channels, out_channels, hidden_channels, num_layers)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`simple`: mean squared error of the prediction, per dimension. `bound`: T L_t in bits/dim, trains the variance."""
        x_0 = self.bound.scaled(batch.x)
        t = self._even_steps(len(x_0))
        eps = torch.randn_like(x_0)
        x_t = self.schedule.diffuse(x_0, eps, t)
        output, share = self._outputs(x_t, t)
        simple = (output - self.schedule.target(self.prediction, x_0, eps, t)).square().mean()
        if self.fixed_share is not None:
            return {"loss": simple, "simple": simple}
        denoised = Denoised(self._clip(self.schedule.to_x_0(self.prediction, output.detach(), x_t, t)), share)
        nats = self.schedule.num_steps * self.bound.term(batch.x, x_t, denoised, t)
        bound = bits_per_dim(-nats, self.spec.num_dims).mean()
        return {"loss": simple + BOUND_WEIGHT * bound, "simple": simple, "bound": bound}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): uint8 levels, or floats for continuous data; `nfe` evaluations of the network."""
        noise = torch.randn(num_samples, *self.spec.shape, device=self.device)
        steps = respaced(self.schedule.num_steps, self.num_evaluations)
        x = SAMPLERS[self.sampler](self._denoise_at, noise, self.schedule, steps)
        return from_unit(x, self.spec.num_levels) if self.spec.is_discrete else x

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int | None = 1) -> Tensor:
        """(N,) nats: an unbiased estimate of the variational bound, whose *expectation* is at most log p(x).

        A single value may exceed log p(x), because steps and noise are random. Step 1 is always evaluated, and
        `num_samples` of the steps 2 .. T are drawn per example, stratified: num_samples + 1 network evaluations. With None,
        or at least T, all steps are summed: T evaluations, and only the noise is random. A log-density for continuous data.
        """
        num_steps = self.schedule.num_steps
        nats = self.bound.prior(x) + self._drawn_term(x, torch.ones(len(x), dtype=torch.long, device=x.device))
        if num_samples is None or num_samples >= num_steps:
            for step in range(2, num_steps + 1):
                nats = nats + self._drawn_term(x, torch.full((len(x),), step, device=x.device))
            return -nats
        for k in range(num_samples):
            t, weight = self.bound.draw_steps(len(x), k, num_samples)
            nats = nats + weight * self._drawn_term(x, t) / num_samples
        return -nats

    def estimator(self, num_samples: int | None = 1) -> dict[str, Any]:
        num_steps = self.schedule.num_steps
        drawn = num_steps if num_samples is None else min(num_samples + 1, num_steps)
        return {
            "method": "variational bound, unbiased in the steps drawn",
            "steps_evaluated": drawn,
            "num_steps": num_steps,
        }

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
        if self.spec.is_discrete and dequantisation not in DEQUANTISATIONS:
            raise ValueError(f"dequantisation={dequantisation!r}: expected one of {', '.join(DEQUANTISATIONS)}")
        angles = self.schedule.angles
        u, correction = self._dequantised(x, dequantisation) if self.spec.is_discrete else (x, 0.0)
        flow = log_density(self._velocity, u, (angles[1], angles[-1]), tolerance, num_probes)
        noise = {"dequantisation": dequantisation, "dequantisation_draws": 1} if self.spec.is_discrete else {}
        return flow.log_prob + correction, flow.facts | noise

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The training loss on held-out data; the whole bound is computed in the evaluation only."""
        return self.loss(batch)

    def score(self, x_t: Tensor, t: Tensor) -> Tensor:
        """grad log q_t(x_t) = -eps / s_t at the step nearest to t T, but at least 1; data in [-1, 1] (N, *shape)."""
        step = (t * self.schedule.num_steps).round().long().clamp_min(1)
        eps = self.schedule.to_eps(self._denoise(x_t, step).x_0, x_t, step)
        return -eps / self.schedule.at("noise", step, x_t)

    def _drawn_term(self, x: Tensor, t: Tensor) -> Tensor:
        """L_{t-1} (N,) nats at steps t (N,), with one draw of x_t."""
        x_0 = self.bound.scaled(x)
        x_t = self.schedule.diffuse(x_0, torch.randn_like(x_0), t)
        return self.bound.term(x, x_t, self._denoise(x_t, t), t)

    @property
    def nfe(self) -> int:
        return self.num_evaluations

    # -- the network ------------------------------------------------------------------------------------------------

    def _outputs(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and variance share at steps t (N,), float32 (N, *shape)."""
        output = self.network(x_t, t / self.schedule.num_steps).float()
        if self.fixed_share is not None:
            share = torch.full_like(output, self.fixed_share)
            if self.spec.is_discrete:  # at t = 1 always the posterior variance of step 2
                share = share * (t > 1).view(-1, *[1] * (output.dim() - 1))
            return output, share
        output, share = output.chunk(2, 1)
        return output, torch.sigmoid(share)

    def _denoise(self, x_t: Tensor, t: Tensor) -> Denoised:
        output, share = self._outputs(x_t, t)
        return Denoised(self._clip(self.schedule.to_x_0(self.prediction, output, x_t, t)), share)

    def _denoise_at(self, x_t: Tensor, step: int) -> Denoised:
        return self._denoise(x_t, torch.full((len(x_t),), step, device=x_t.device))

    def _velocity(self, x_t: Tensor, angle: float) -> Tensor:
        """v = dx/d(angle) = (cos(angle) x - x_0) / sin(angle), at the fractional step that has this angle."""
        angles = self.schedule.angles
        step = float(np.interp(angle, angles, np.arange(len(angles))))
        output, _ = self._outputs(x_t, torch.full((len(x_t),), step, device=x_t.device))
        a, s = math.cos(angle), math.sin(angle)
        return (a * x_t - self._clip(PREDICTIONS[self.prediction][1](output, x_t, a, s))) / s

    def _clip(self, x_0: Tensor) -> Tensor:
        return x_0.clamp(-1.0, 1.0) if self.spec.is_discrete else x_0

    # -- steps ------------------------------------------------------------------------------------------------------

    def _even_steps(self, num: int) -> Tensor:
        u = (torch.rand(1, device=self.device) + torch.arange(num, device=self.device) / num) % 1.0
        return 1 + (u * self.schedule.num_steps).long().clamp_max(self.schedule.num_steps - 1)

    # -- the probability flow ---------------------------------------------------------------------------------------

    def _dequantised(self, x: Tensor, dequantisation: str) -> tuple[Tensor, Tensor]:
        """u, and log P(x|u) - log q(u|x) (N,) nats."""
        x_0 = self.bound.scaled(x)
        if dequantisation == "uniform":
            width = 2.0 / (self.spec.num_levels - 1)
            log_volume = torch.full((len(x),), self.spec.num_dims * math.log(width), device=x.device)
            return x_0 + width * (torch.rand_like(x_0) - 0.5), log_volume
        eps, step = torch.randn_like(x_0), torch.ones(len(x), dtype=torch.long, device=x.device)
        u = self.schedule.diffuse(x_0, eps, step)
        denoised = self._denoise(u, step)
        decoder = self.bound.decoder_log_prob(x, denoised.x_0, self.schedule.log_variance(denoised.share, step))
        log_q = -0.5 * (eps.square() + math.log(2.0 * math.pi)) - self.schedule.noise[1].log()
        return u, (decoder - log_q).flatten(1).sum(1)
