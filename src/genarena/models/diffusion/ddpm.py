"""Denoising diffusion probabilistic model (Ho, Jain & Abbeel 2020, arXiv 2006.11239).

With the cosine schedule and the learned reverse variance of Nichol & Dhariwal 2021 (arXiv 2102.09672), v-prediction
(Salimans & Ho 2022, arXiv 2202.00512), DDIM (Song et al. 2020, arXiv 2010.02502) and DPM-Solver++ (Lu et al. 2022,
arXiv 2211.01095) samplers.

Differs from the papers: steps of a training batch are spread evenly over 1 .. T from one random start (Kingma et al.
2021, arXiv 2107.00630, appendix I.1); the share of the learned variance passes a sigmoid; at t = 1, where the posterior
variance is zero, the decoder's may go down to a tenth of a bin, since a mean at the very edge of the range would otherwise
spend a third of a bit on every black pixel; the network folds blocks of pixels into channels (`patch`).
The steps of the bound are drawn from a fixed proposal instead of one learned from past losses.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genarena.distributions import discretised_gaussian_log_prob
from genarena.likelihood import Likelihood, bits_per_dim, from_unit, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Integrates, Scores
from genarena.models.diffusion.probability_flow import log_density
from genarena.models.diffusion.samplers import SAMPLERS, Denoised, respaced
from genarena.models.diffusion.schedules import PREDICTIONS, SCHEDULES, NoiseSchedule
from genarena.nets.mlp import TimeMLP
from genarena.nets.unet import UNet
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

# Share of the way from the posterior's log-variance to beta's
VARIANCES = {"learned": None, "posterior": 0.0, "beta": 1.0}
DEQUANTISATIONS = ("model", "uniform")
BOUND_WEIGHT = 1e-3  # lambda of L_hybrid, Nichol & Dhariwal eq. 16, on the bound in bits/dim; T L_t is drawn at one t


class DDPM(GenerativeModel, Scores, Integrates):
    """min_theta E_{t, eps} |target_t - f_theta(a_t x_0 + s_t eps, t)|^2  +  lambda T E_t L_t  (the mean stopped in L_t),

    -log p(x) <= KL(q(x_T|x_0) || N(0, I)) + sum_{t>1} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t)) - E log p(x_0|x_1).

    prediction: eps, v or x. schedule: cosine or linear. variance: learned, posterior or beta. sampler: ancestral, ddim or
    dpm_solver, at `nfe` steps. Vectors get a TimeMLP of `num_layers` blocks, images the U-Net. Continuous data has a
    Gaussian decoder, and is expected at about unit scale. Raises ValueError for a name or a number that is not offered.
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
        num_steps: int = 1000,
        schedule: str = "cosine",
        prediction: str = "v",
        variance: str = "learned",
        sampler: str = "dpm_solver",
        nfe: int = 20,
        hidden_channels: int = 48,
        multipliers: Sequence[int] = (1, 2),
        num_blocks: int = 1,
        attention: Sequence[int] = (),
        patch: int | None = None,
        dropout: float = 0.0,
        num_layers: int = 3,
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
        floor = (0.2 / (spec.num_levels - 1)) ** 2 if spec.is_discrete else math.inf
        self.schedule = NoiseSchedule(SCHEDULES[schedule](num_steps), floor)
        self.prediction, self.sampler, self.num_evaluations = prediction, sampler, nfe
        self.fixed_share = VARIANCES[variance]
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
        """`simple`: mean squared error of the prediction, per dimension. `bound`: T L_t in bits/dim, for the variance."""
        x_0 = self._scale(batch.x)
        t = self._even_steps(len(x_0))
        eps = torch.randn_like(x_0)
        x_t = self.schedule.diffuse(x_0, eps, t)
        output, share = self._outputs(x_t, t)
        simple = (output - self.schedule.target(self.prediction, x_0, eps, t)).square().mean()
        if self.fixed_share is not None:
            return {"loss": simple, "simple": simple}
        denoised = Denoised(self._clip(self.schedule.to_x_0(self.prediction, output.detach(), x_t, t)), share)
        nats = self.schedule.num_steps * self._bound_term(batch.x, x_t, denoised, t)
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

        One value is no bound: it is noisy through the noise and the steps drawn. `num_samples` of the steps 2 .. T are
        drawn per example, stratified, beside step 1: num_samples + 1 network evaluations. With None, or at least T, the
        whole sum is taken: T evaluations, and only the noise is left to chance. A density for continuous data.
        """
        num_steps = self.schedule.num_steps
        nats = self._prior_term(x) + self._drawn_term(x, torch.ones(len(x), dtype=torch.long, device=x.device))
        if num_samples is None or num_samples >= num_steps:
            for step in range(2, num_steps + 1):
                nats = nats + self._drawn_term(x, torch.full((len(x),), step, device=x.device))
            return -nats
        for k in range(num_samples):
            t, weight = self._drawn_steps(len(x), k, num_samples)
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

    def ode_log_prob(self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str) -> tuple[Tensor, dict]:
        """(N,) nats of the probability flow from N(0, I) at step T down to step 1 (Song et al. 2021, arXiv 2011.13456,
        sec. 4.3 and app. D.2), and how it was solved.

        Levels: log P(x) >= E_q(u|x)[log p_1(u) + log P(x|u) - log q(u|x)]. With dequantisation="model", q is N(a_1 x_0,
        s_1^2 I) and P(x|u) the decoder, as in the variational bound: the noise that the network knows (Zheng et al. 2023,
        arXiv 2305.03935, say why). With "uniform", q is uniform on the bin, as in Song et al.: p_1 resolves the levels of
        coarse data, so that bound is loose. Continuous data: the density p_1 at x.
        """
        if self.spec.is_discrete and dequantisation not in DEQUANTISATIONS:
            raise ValueError(f"dequantisation={dequantisation!r}: expected one of {', '.join(DEQUANTISATIONS)}")
        angles = self.schedule.angles
        u, correction = self._dequantised(x, dequantisation) if self.spec.is_discrete else (x, 0.0)
        flow = log_density(self._velocity, u, (angles[1], angles[-1]), tolerance, num_probes)
        noise = {"dequantisation": dequantisation, "dequantisation_draws": 1} if self.spec.is_discrete else {}
        return flow.log_prob + correction, flow.facts | noise

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The training loss on held-out data; the bound is left to the evaluation."""
        return self.loss(batch)

    def score(self, x_t: Tensor, t: Tensor) -> Tensor:
        """grad log q_t(x_t) = -eps / s_t at the step nearest to t T, but at least 1; data in [-1, 1] (N, *shape)."""
        step = (t * self.schedule.num_steps).round().long().clamp_min(1)
        eps = self.schedule.to_eps(self._denoise(x_t, step).x_0, x_t, step)
        return -eps / self.schedule.at("noise", step, x_t)

    @property
    def nfe(self) -> int:
        return self.num_evaluations

    # -- the network ------------------------------------------------------------------------------------------------

    def _outputs(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and variance share at steps t (N,), float32 (N, *shape)."""
        output = self.network(x_t, t / self.schedule.num_steps).float()
        if self.fixed_share is not None:
            return output, torch.full_like(output, self.fixed_share)
        output, share = output.chunk(2, 1)
        return output, torch.sigmoid(share)

    def _denoise(self, x_t: Tensor, t: Tensor) -> Denoised:
        output, share = self._outputs(x_t, t)
        return Denoised(self._clip(self.schedule.to_x_0(self.prediction, output, x_t, t)), share)

    def _denoise_at(self, x_t: Tensor, step: int) -> Denoised:
        return self._denoise(x_t, torch.full((len(x_t),), step, device=x_t.device))

    def _velocity(self, x_t: Tensor, angle: float) -> Tensor:
        """dx/d(angle) = (cos x - x_0) / sin = v at the step, not a whole number, that has this angle."""
        angles = self.schedule.angles
        step = float(np.interp(angle, angles, np.arange(len(angles))))
        output, _ = self._outputs(x_t, torch.full((len(x_t),), step, device=x_t.device))
        a, s = math.cos(angle), math.sin(angle)
        return (a * x_t - self._clip(PREDICTIONS[self.prediction][1](output, x_t, a, s))) / s

    def _scale(self, x: Tensor) -> Tensor:
        return to_unit(x, self.spec.num_levels) if self.spec.is_discrete else x

    def _clip(self, x_0: Tensor) -> Tensor:
        return x_0.clamp(-1.0, 1.0) if self.spec.is_discrete else x_0

    # -- steps ------------------------------------------------------------------------------------------------------

    def _even_steps(self, num: int) -> Tensor:
        u = (torch.rand(1, device=self.device) + torch.arange(num, device=self.device) / num) % 1.0
        return 1 + (u * self.schedule.num_steps).long().clamp_max(self.schedule.num_steps - 1)

    def _drawn_steps(self, num: int, stratum: int, strata: int) -> tuple[Tensor, Tensor]:
        """Steps (N,) of 2 .. T and 1 / their probability, from the given part of the proposal's mass.

        Proposal: half uniform, half proportional to the fall of log(1 + SNR), which is what L_t would be if the squared
        error of x_0 were that of a Gaussian.
        """
        noise = self.schedule.noise.double()
        fall = (noise[2:] / noise[1:-1]).log()
        proposal = 0.5 / len(fall) + 0.5 * fall / fall.sum()
        u = (stratum + torch.rand(num, device=self.device, dtype=torch.float64)) / strata
        index = torch.searchsorted(proposal.cumsum(0), u).clamp_max(len(fall) - 1)
        return 2 + index, (1.0 / proposal[index]).float()

    # -- the probability flow ---------------------------------------------------------------------------------------

    def _dequantised(self, x: Tensor, dequantisation: str) -> tuple[Tensor, Tensor]:
        """u, and log P(x|u) - log q(u|x) (N,) nats."""
        x_0 = self._scale(x)
        if dequantisation == "uniform":
            width = 2.0 / (self.spec.num_levels - 1)
            log_volume = torch.full((len(x),), self.spec.num_dims * math.log(width), device=x.device)
            return x_0 + width * (torch.rand_like(x_0) - 0.5), log_volume
        eps, step = torch.randn_like(x_0), torch.ones(len(x), dtype=torch.long, device=x.device)
        u = self.schedule.diffuse(x_0, eps, step)
        denoised = self._denoise(u, step)
        decoder = self._decoder_log_prob(x, denoised.x_0, self.schedule.log_variance(denoised.share, step))
        log_q = -0.5 * (eps.square() + math.log(2.0 * math.pi)) - self.schedule.noise[1].log()
        return u, (decoder - log_q).flatten(1).sum(1)

    # -- the bound, in nats -----------------------------------------------------------------------------------------

    def _prior_term(self, x: Tensor) -> Tensor:
        """L_T = KL(q(x_T | x_0) || N(0, I)), (N,)."""
        mean, variance = self.schedule.signal[-1] * self._scale(x), 1.0 - self.schedule.signal[-1] ** 2
        return 0.5 * (mean.square() + variance - 1.0 - variance.log()).flatten(1).sum(1)

    def _drawn_term(self, x: Tensor, t: Tensor) -> Tensor:
        x_0 = self._scale(x)
        x_t = self.schedule.diffuse(x_0, torch.randn_like(x_0), t)
        return self._bound_term(x, x_t, self._denoise(x_t, t), t)

    def _bound_term(self, x: Tensor, x_t: Tensor, denoised: Denoised, t: Tensor) -> Tensor:
        """L_{t-1} (N,): KL of the posterior from the reverse step (Ho et al., eq. 5), or -log p(x_0 | x_1) at t = 1."""
        log_variance = self.schedule.log_variance(denoised.share, t)
        gap = self._scale(x) - denoised.x_0
        mean_gap = self.schedule.at("weight_x_0", t, gap) * gap
        low = self.schedule.at("low", t, gap)
        difference = low - log_variance
        kl = 0.5 * (difference.expm1() - difference + mean_gap.square() * (-log_variance).exp())
        first = (t == 1).view(-1, *[1] * (x.dim() - 1))
        return torch.where(first, -self._decoder_log_prob(x, denoised.x_0, log_variance), kl).flatten(1).sum(1)

    def _decoder_log_prob(self, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """log p(x_0 | x_1): a Gaussian cut into the bins of the levels, the edge bins open-ended (Ho et al., eq. 13)."""
        if not self.spec.is_discrete:
            return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2.0 * math.pi))
        return discretised_gaussian_log_prob(self._scale(x), mean, 0.5 * log_variance, self.spec.num_levels)
