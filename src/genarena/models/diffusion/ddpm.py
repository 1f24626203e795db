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

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, bits_per_dim, from_unit, to_unit
from genarena.models.base import GenerativeModel, Scores, Training
from genarena.models.diffusion.samplers import SAMPLERS, Denoised, respaced
from genarena.models.diffusion.schedules import PREDICTIONS, SCHEDULES, NoiseSchedule
from genarena.nets.mlp import TimeMLP
from genarena.nets.unet import UNet
from genarena.spec import Batch, DataSpec

VARIANCES = {
    "learned": None,
    "posterior": 0.0,
    "beta": 1.0,
}  # share of the way from the posterior's log-variance to beta's
BOUND_WEIGHT = 1e-3  # lambda of L_hybrid, Nichol & Dhariwal eq. 16, on the bound in bits/dim; T L_t is drawn at one t


class DDPM(GenerativeModel, Scores):
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

    def __init__(self, spec: DataSpec, training: Training | None = None, num_steps: int = 1000, schedule: str = "cosine",
                 prediction: str = "v", variance: str = "learned", sampler: str = "dpm_solver", nfe: int = 20,
                 hidden_channels: int = 48, multipliers: Sequence[int] = (1, 2), num_blocks: int = 1,
                 attention: Sequence[int] = (), patch: int | None = None, dropout: float = 0.0,
                 num_layers: int = 3) -> None:  # fmt: skip
        super().__init__(spec, training)
        for name, value, allowed in (("schedule", schedule, SCHEDULES), ("prediction", prediction, PREDICTIONS),
                                     ("variance", variance, VARIANCES), ("sampler", sampler, SAMPLERS)):  # fmt: skip
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: expected one of {', '.join(allowed)}")
        if not 1 <= nfe <= num_steps:
            raise ValueError(f"nfe={nfe}: expected 1 to num_steps={num_steps}")
        floor = (0.2 / (spec.num_levels - 1)) ** 2 if spec.is_discrete else math.inf
        self.schedule = NoiseSchedule(SCHEDULES[schedule](num_steps), floor)
        self.prediction, self.fixed_share, self.sampler, self.num_evaluations = (
            prediction,
            VARIANCES[variance],
            sampler,
            nfe,
        )
        channels = spec.shape[0]
        out_channels = channels * (2 if self.fixed_share is None else 1)
        if spec.is_image:
            size = spec.shape[1:]
            patch = patch or (2 if min(size) >= 16 else 1)
            self.network = UNet(channels, out_channels, size, hidden_channels, multipliers, num_blocks, attention,
                                patch, dropout)  # fmt: skip
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
        """L_{t-1} (N,): KL of the posterior from the reverse step (Ho et al., eq. 7), or -log p(x_0 | x_1) at t = 1."""
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
        centred, inverse_scale = self._scale(x) - mean, (-0.5 * log_variance).exp()
        if not self.spec.is_discrete:
            return -0.5 * ((centred * inverse_scale).square() + log_variance + math.log(2.0 * math.pi))
        half = 1.0 / (self.spec.num_levels - 1)
        upper, lower = inverse_scale * (centred + half), inverse_scale * (centred - half)
        log_upper, log_lower_tail = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
        # Phi(upper) - Phi(lower), taken on the side of the mean where neither is close to one
        near, far = torch.where(centred < 0, upper, -lower), torch.where(centred < 0, lower, -upper)
        log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(far)
        middle = log_near + torch.log(-torch.expm1(log_far - log_near))
        return torch.where(x == 0, log_upper, torch.where(x == self.spec.num_levels - 1, log_lower_tail, middle))
