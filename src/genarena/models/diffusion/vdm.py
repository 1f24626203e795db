"""Variational diffusion models (Kingma, Salimans, Poole & Ho 2021, arXiv 2107.00630): a learned noise schedule, and the
variational bound in continuous time as the loss.

The bound depends on the schedule at its two ends alone (section 5.1); between them it decides how much one
draw of a time varies.

Differs from the paper
- Continuous data has a Gaussian decoder, N(x; z_0 / a_0, (s_0 / a_0)^2), and no Fourier features.
- The Fourier features have the frequencies of 256 levels in the paper, and for other data those of its own levels.
- The least noise at the start of training is a sixth of the distance of two levels, which for 256 of them is the paper's.
- Weights of the monotone network are made positive by softplus (their code: by the absolute value).
- Samplers clip the predicted data to its range, and step to the data from the least noise.
- A condition is dropped for some training examples, for guidance (Ho & Salimans 2022, arXiv 2207.12598).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood, bits_per_dim
from genarena.models.diffusion.noise_prediction import NoisePrediction
from genarena.models.diffusion.paths import DATA, Level
from genarena.models.diffusion.samplers import DiffusionSampler, DPMSolver
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.monotone import MonotoneFunction
from genarena.options.values import Count, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

FURTHEST = 20.0  # standard deviations, beyond which a level does not change a sum of float32 (noise is below 8)


class Terms(NamedTuple):
    """Of the bound, (N,) nats: L_inf, KL(q(z_1 | x) || N(0, I)) and -E log p(x | z_0)."""

    diffusion: Tensor
    prior: Tensor
    reconstruction: Tensor


class VDM(NoisePrediction):
    """-log p(x) <= E_t [gamma'(t) / 2 |eps - eps_theta(z_t, gamma(t))|^2] + KL(q(z_1|x) || N(0, I)) - E log p(x|z_0),

    z_t = a x_0 + s eps, a^2 = sigmoid(-gamma(t)), s^2 = sigmoid(gamma(t)); gamma = -log SNR rises from gamma_min to gamma_max
    (eq. 11 to 17). p(x|z_0) is proportional to q(z_0|x), over levels. The network and both ends of gamma minimise the bound,
    the shape of gamma between them the second moment of its estimate from one time (appendix H.2).

    gamma_min, gamma_max: at the start of training; null: from the distance of two levels, -13.3 for continuous data.
    fourier: how many frequencies 2^n pi of the input the network is told of, the highest for the finest levels.
    schedule_features: of the monotone network. net: a network of `conf/net`.
    Raises ValueError for ends of gamma in the wrong order.
    """

    likelihood = Likelihood.LOWER_BOUND
    paper = "2107.00630"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: DiffusionSampler = DPMSolver(),  # noqa: B008 - frozen
        gamma_min: float | None = None,
        gamma_max: float = 5.0,
        fourier: Whole = 2,
        schedule_features: Count = 1024,
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
    ) -> None:
        spacing = 2.0 / (spec.num_levels - 1) if spec.is_discrete else 0.0  # of two levels
        if gamma_min is None:
            gamma_min = 2.0 * math.log(spacing / 6.0) if spacing else -13.3
        if gamma_min >= gamma_max:
            raise ValueError(f"gamma_min={gamma_min:g}: expected less than gamma_max, {gamma_max:g}")
        highest = math.ceil(math.log2(spec.num_levels)) if spacing else -1  # 8 for 256 levels
        self.frequencies = [2.0**n * math.pi for n in range(max(0, highest + 1 - fourier), highest + 1)]
        super().__init__(spec, net, training, sampler, "none", condition_dropout, views=1 + 2 * len(self.frequencies))
        self.spacing = spacing
        self.told = (gamma_min, gamma_max)  # the gammas that the network knows as 0 and 1
        self.gammas = nn.Parameter(torch.tensor([gamma_min, gamma_max]))
        self.shape = MonotoneFunction(schedule_features)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The bound and its terms, in bits/dim."""
        terms = self._terms(batch.x, even_times(len(batch.x), self.device), self.context(batch.y, len(batch.x)))
        bits = {name: self._bits(nats).mean() for name, nats in terms._asdict().items()}
        return {"loss": sum(bits.values())} | bits

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.loss(batch)
        return terms | {"bits_per_dim": terms["loss"]}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: an unbiased estimate of the bound, from `num_samples` times, spread evenly for each example. A log-density
        for continuous data. A single value may exceed log p(x), because times and noise are random."""
        context, first = self.context(y, len(x)), even_times(len(x), self.device)
        draws = [sum(self._terms(x, (first + k / num_samples) % 1.0, context)) for k in range(num_samples)]
        return -torch.stack(draws).mean(0)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {"method": "variational bound in continuous time, unbiased in the times drawn", "times": num_samples}

    def gamma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """gamma and its rate d gamma / dt at times t (N,) in [0, 1]."""
        return self._between(*self.shape(t))

    def _between(self, risen: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.gammas
        return low + (high - low) * risen, (high - low) * rate

    def _terms(self, x: Tensor, t: Tensor, context: Tensor | None) -> Terms:
        x_0 = self.scaled(x)
        shape = self.shape(t)
        gamma, rate = self._between(*shape)
        eps = torch.randn_like(x_0)
        z = column((-gamma).sigmoid().sqrt(), x_0) * x_0 + column(gamma.sigmoid().sqrt(), x_0) * eps
        error = (eps - self.outputs(z, self._time(gamma), context)).square().flatten(1).sum(1)
        diffusion = 0.5 * rate * error
        for part in shape:
            if part.requires_grad:  # the gradient of the square of each draw, instead of the draw
                part.register_hook(lambda grad: grad * 2.0 * self._bits(diffusion.detach()))
        return Terms(diffusion, self._prior(x_0), self._reconstruction(x, x_0))

    def _prior(self, x_0: Tensor) -> Tensor:
        a_2, s_2 = (-self.gammas[1]).sigmoid(), self.gammas[1].sigmoid()
        return 0.5 * (a_2 * x_0.square() + s_2 - 1.0 - s_2.log()).flatten(1).sum(1)

    def _reconstruction(self, x: Tensor, x_0: Tensor) -> Tensor:
        """-log p(x | z_0), with one draw of z_0: a softmax over the levels around x."""
        eps, gamma = torch.randn_like(x_0), self.gammas[0]
        if not self.spec.is_discrete:
            return 0.5 * (eps.square() + math.log(2.0 * math.pi) + gamma).flatten(1).sum(1)
        num, step = self.spec.num_levels, self.spacing * (-0.5 * gamma).exp()  # of two levels, in units of s_0 / a_0
        reach = int((FURTHEST / step.detach()).nan_to_num(num, num).clamp_max(num - 1).ceil())
        near = torch.arange(-reach, reach + 1, device=x.device)
        level = x.long().unsqueeze(-1) + near
        log_mass = -0.5 * (eps.unsqueeze(-1) - near * step).square()
        log_mass = log_mass.masked_fill((level < 0) | (level >= num), -math.inf)
        return (log_mass.logsumexp(-1) + 0.5 * eps.square()).flatten(1).sum(1)

    def _bits(self, nats: Tensor) -> Tensor:
        return bits_per_dim(-nats, self.spec.num_dims)

    # -- the network and its path -----------------------------------------------------------------------------------

    def outputs(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        views = [x, *(wave(frequency * x) for frequency in self.frequencies for wave in (torch.sin, torch.cos))]
        return super().outputs(torch.cat(views, 1), t, context)

    def _time(self, gamma: Tensor) -> Tensor:
        return (gamma - self.told[0]) / (self.told[1] - self.told[0])

    def time_of(self, sigma: Tensor) -> Tensor:
        return self._time(2.0 * sigma.log())

    @property
    def ends_of_sigma(self) -> tuple[float, float]:
        return tuple((0.5 * self.gammas.detach().double()).exp().tolist())

    @torch.no_grad()
    def levels(self, num_steps: int) -> list[Level]:
        """At even times from 1 to 0, and the data."""
        times = torch.tensor([1.0 - k / max(1, num_steps - 1) for k in range(num_steps)], device=self.device)
        a, s = self.marginal(times)
        return [*map(Level, a.tolist(), s.tolist()), DATA]

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s (N,) at times t (N,)."""
        gamma = self.gamma(t)[0].detach()
        return (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt()
