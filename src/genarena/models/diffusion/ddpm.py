"""Denoising diffusion probabilistic model (Ho, Jain & Abbeel 2020, arXiv 2006.11239).

With the cosine schedule and the learned reverse variance of Nichol & Dhariwal 2021 (arXiv 2102.09672), v-prediction
(Salimans & Ho 2022, arXiv 2202.00512). Samples are drawn by any sampler of `samplers.py`.

Differs from the papers
- The steps of a training batch are spread evenly over 1 .. T from one random start (Kingma et al. 2021, arXiv 2107.00630,
  appendix I.1).
- A learned variance is interpolated by a sigmoid of the network's output. At t = 1 the posterior variance is zero; there a
  learned standard deviation may shrink to a tenth of a bin. With the variance of step 2 as its lower limit, every black
  pixel would cost a third of a bit. A fixed variance on levels is that of step 2 at t = 1, as in Ho et al.'s code.
- On coarse levels, with a learned variance, the schedule starts at more noise: s_1 / a_1 is 0.3 bins (0.1 of the two bins of
  binary data). Below it the decoder has nothing to tell apart, and the bound pays for steps that no data needs. 256 levels
  keep the schedule of the paper.
- Samplers clip predictions of continuous data to the range of the training data, as those of levels to [-1, 1].
- The network is any of `conf/net`; the default one, `nets/unet.py`, is not the paper's.
- A condition is added to the time embedding; `condition_dropout` of the training examples lose it (guidance: Ho & Salimans
  2022, arXiv 2207.12598).
- Rows with holes: the loss is over what is observed (MissDiff: Ouyang et al. 2023, arXiv 2307.00467, eq. 5). Differs from
that paper:
  the network sees which entries are observed, and zeros elsewhere; it is used with all of them observed.
- The steps of the bound are drawn from a fixed proposal distribution instead of one estimated from past losses.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood, bits_per_dim
from genarena.models.diffusion.gaussian_diffusion import GaussianDiffusion
from genarena.models.diffusion.ode_likelihood import ODELikelihood
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised, DiffusionSampler, DPMSolver
from genarena.models.diffusion.schedules import (
    PREDICTIONS,
    SCHEDULES,
    NoiseSchedule,
    respaced,
    with_least_noise,
)
from genarena.models.diffusion.variational_bound import VariationalBound
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.conditioning import sizes
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

# Reverse log-variance, between the posterior's (0) and beta's (1); None: learned
VARIANCES = {"learned": None, "posterior": 0.0, "beta": 1.0}
BOUND_WEIGHT = 1e-3  # lambda of L_hybrid (Nichol & Dhariwal, eq. 16); T L_t in bits/dim, at one drawn t


class DDPM(GaussianDiffusion, ODELikelihood):
    """min_theta E_{t, eps} |target_t - f_theta(a_t x_0 + s_t eps, t)|^2  +  lambda T E_t L_t  (mean in L_t detached),

    -log p(x) <= KL(q(x_T|x_0) || N(0, I)) + sum_{t>1} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t)) - E log p(x_0|x_1).

    prediction: eps, v or x. schedule: cosine, linear or sound. variance: learned, posterior or beta. net: of `conf/net`.
    Continuous data has a Gaussian decoder, and should have about unit scale. Raises ValueError for an unknown name, and for
    a sampler with more evaluations than num_steps allows.
    """

    likelihood = Likelihood.LOWER_BOUND
    takes_missing = True
    paper = "2006.11239"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_steps: Count = 1000,
        schedule: str = "cosine",
        prediction: str = "v",
        variance: str = "learned",
        sampler: DiffusionSampler = DPMSolver(),  # noqa: B008 - frozen
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        super().__init__(spec, training, condition_dropout)
        for name, value, allowed in (
            ("schedule", schedule, SCHEDULES),
            ("prediction", prediction, PREDICTIONS),
            ("variance", variance, VARIANCES),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: expected one of {', '.join(allowed)}")
        self.fixed_share = VARIANCES[variance]
        alpha_bar, sharpest = SCHEDULES[schedule](num_steps), math.inf
        if self.fixed_share is None and spec.is_discrete:
            bin_width = 2.0 / (spec.num_levels - 1)
            sharpest = (0.1 * bin_width) ** 2
            alpha_bar = with_least_noise(alpha_bar, bin_width * (0.3 if spec.num_levels > 2 else 0.1))
        self.schedule = NoiseSchedule(alpha_bar, sharpest)
        self.bound = VariationalBound(self.schedule, spec)
        self.prediction = prediction
        channels, context = spec.shape[0], sizes(spec.condition, condition_dropout)
        out_channels = channels * (2 if self.fixed_share is None else 1)
        in_channels = channels * (2 if spec.missing else 1)  # with holes, which entries are observed is an input too
        self.network = net(in_channels, out_channels, spec.shape, *context)
        self.use(sampler)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`simple`: mean squared error of the prediction, per dimension. `bound`: T L_t in bits/dim, trains the variance."""
        observed = ~batch.x.isnan() if self.spec.missing else None
        x = batch.x if observed is None else batch.x.nan_to_num()
        x_0 = self.scaled(x)
        t = self.schedule.even_steps(len(x_0), x_0.device)
        eps = torch.randn_like(x_0)
        x_t = self.schedule.diffuse(x_0, eps, t)
        output, share = self._outputs(x_t, t, self.context(batch.y, len(x_0)), observed)
        error = (output - self.schedule.target(self.prediction, x_0, eps, t)).square()
        simple = error.mean() if observed is None else error[observed].mean()
        if self.fixed_share is not None:
            return {"loss": simple, "simple": simple}
        denoised = Denoised(self._clip(self.schedule.to_x_0(self.prediction, output.detach(), x_t, t)), share)
        nats = self.schedule.num_steps * self.bound.term(x, x_t, denoised, t, observed)
        bound = bits_per_dim(-nats, self.spec.num_dims).mean()
        return {"loss": simple + BOUND_WEIGHT * bound, "simple": simple, "bound": bound}

    @property
    def most_steps(self) -> int:
        return self.schedule.num_steps

    def levels(self, num_steps: int) -> list[Level]:
        """At whole steps of the schedule."""
        return [self.schedule.level(step) for step in respaced(self.schedule.num_steps, num_steps)]

    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        """The prediction, not clipped, for x (N, *shape) at a level of any path; below step 1 the network sees step 1."""
        step = self.schedule.step_of(level)
        own = self.schedule.level(step)
        x = x * (own.s / level.s)
        output, share = self._outputs(x, torch.full((len(x),), max(step, 1.0), device=x.device), context)
        return Denoised(PREDICTIONS[self.prediction][1](output, x, *own), share)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int | None = 1) -> Tensor:
        """(N,) nats: an unbiased estimate of the variational bound, whose *expectation* is at most log p(x).

        A single value may exceed log p(x), because steps and noise are random. Step 1 is always evaluated, and
        `num_samples` of the steps 2 .. T are drawn per example, stratified: num_samples + 1 network evaluations. With None,
        or at least T, all steps are summed: T evaluations, and only the noise is random. A log-density for continuous data.
        """
        num_steps, context = self.schedule.num_steps, self.context(y, len(x))
        first = torch.ones(len(x), dtype=torch.long, device=x.device)
        nats = self.bound.prior(x) + self._drawn_term(x, first, context)
        if num_samples is None or num_samples >= num_steps:
            for step in range(2, num_steps + 1):
                nats = nats + self._drawn_term(x, torch.full((len(x),), step, device=x.device), context)
            return -nats
        for k in range(num_samples):
            t, weight = self.bound.draw_steps(len(x), k, num_samples)
            nats = nats + weight * self._drawn_term(x, t, context) / num_samples
        return -nats

    def estimator(self, num_samples: int | None = 1) -> dict[str, Any]:
        num_steps = self.schedule.num_steps
        drawn = num_steps if num_samples is None else min(num_samples + 1, num_steps)
        return {
            "method": "variational bound, unbiased in the steps drawn",
            "steps_evaluated": drawn,
            "num_steps": num_steps,
        }

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The training loss on held-out data; the whole bound is computed in the evaluation only."""
        return self.loss(batch)

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t] (N, *shape) at times t (N,) in [0, 1]; below step 1 the network sees step 1."""
        a, s = (part.view(-1, *[1] * (x_t.dim() - 1)) for part in self.marginal(t))
        output, _ = self._outputs(x_t, (t * self.schedule.num_steps).clamp_min(1.0), self.context(y, len(x_t)))
        return PREDICTIONS[self.prediction][1](output, x_t, a, s)

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s (N,) at times t (N,) in [0, 1], t T steps."""
        return self.schedule.marginal(t * self.schedule.num_steps)

    def _drawn_term(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """L_{t-1} (N,) nats at steps t (N,), with one draw of x_t."""
        x_0 = self.scaled(x)
        x_t = self.schedule.diffuse(x_0, torch.randn_like(x_0), t)
        return self.bound.term(x, x_t, self.reverse(x_t, t, context), t)

    # -- the network ------------------------------------------------------------------------------------------------

    def _outputs(
        self, x_t: Tensor, t: Tensor, context: Tensor | None, observed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Prediction and variance share at steps t (N,), float32 (N, *shape). observed: of a model of rows with holes; None:
        all."""
        if self.spec.missing:
            seen = torch.ones_like(x_t) if observed is None else observed.to(x_t.dtype)
            x_t = torch.cat([x_t * seen, seen], 1)
        output = self.network(x_t, t / self.schedule.num_steps, context).float()
        if self.fixed_share is not None:
            share = torch.full_like(output, self.fixed_share)
            if self.spec.is_discrete:  # at t = 1 always the posterior variance of step 2
                share = share * (t > 1).view(-1, *[1] * (output.dim() - 1))
            return output, share
        output, share = output.chunk(2, 1)
        return output, torch.sigmoid(share)

    def reverse(self, x_t: Tensor, t: Tensor, context: Tensor | None = None) -> Denoised:
        """Mean and variance of the reverse step at steps t (N,); levels are clipped to their range."""
        output, share = self._outputs(x_t, t, context)
        return Denoised(self._clip(self.schedule.to_x_0(self.prediction, output, x_t, t)), share)

    def _clip(self, x_0: Tensor) -> Tensor:
        return x_0.clamp(-1.0, 1.0) if self.spec.is_discrete else x_0
