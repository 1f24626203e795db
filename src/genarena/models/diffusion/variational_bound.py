"""The variational bound of a diffusion in discrete steps, term by term (Ho et al. 2020, arXiv 2006.11239, eq. 5), in nats.

-log p(x) <= KL(q(x_T|x_0) || N(0, I)) + sum_{t=2..T} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t)) - E log p(x_0|x_1)
             prior                       term at t                                             term at t = 1
"""

import math

import torch
from torch import Tensor

from genarena.distributions import discretised_gaussian_log_prob
from genarena.likelihood import to_space
from genarena.models.diffusion.samplers import Denoised
from genarena.models.diffusion.schedules import NoiseSchedule
from genarena.models.diffusion.times import column
from genarena.spec import DataSpec


class VariationalBound:
    """The terms for data of one spec under one noise schedule. Levels are scaled to [-1, 1], continuous data is not."""

    def __init__(self, schedule: NoiseSchedule, spec: DataSpec) -> None:
        self.schedule, self.spec = schedule, spec

    def scaled(self, x: Tensor) -> Tensor:
        """x_0 (N, *shape): levels scaled to [-1, 1], or the continuous data itself."""
        return to_space(x, self.spec)

    def prior(self, x: Tensor) -> Tensor:
        """L_T = KL(q(x_T | x_0) || N(0, I)), (N,)."""
        mean, variance = self.schedule.signal[-1] * self.scaled(x), 1.0 - self.schedule.signal[-1] ** 2
        return 0.5 * (mean.square() + variance - 1.0 - variance.log()).flatten(1).sum(1)

    def term(self, x: Tensor, x_t: Tensor, denoised: Denoised, t: Tensor, counts: Tensor | None = None) -> Tensor:
        """L_{t-1} (N,) nats at steps t (N,): KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t)), or -log p(x_0|x_1) at t = 1.

        counts: which dimensions are summed, (N, *shape); all, if None."""
        log_variance = self.schedule.log_variance(denoised.share, t)
        gap = self.scaled(x) - denoised.x_0
        mean_gap = self.schedule.at("weight_x_0", t, gap) * gap
        difference = self.schedule.at("low", t, gap) - log_variance
        kl = 0.5 * (difference.expm1() - difference + mean_gap.square() * (-log_variance).exp())
        nats, first = kl, t == 1
        if first.any():  # rare in training, and the dearer of the two
            nats = torch.where(column(first, x), -self.decoder_log_prob(x, denoised.x_0, log_variance), kl)
        return (nats if counts is None else nats * counts).flatten(1).sum(1)

    def decoder_log_prob(self, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """log p(x_0 | x_1) per dimension, same shape as x: a Gaussian; for levels its mass in the level's bin, where the two
        edge bins are open-ended (Ho et al., eq. 13)."""
        if not self.spec.is_discrete:
            return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2.0 * math.pi))
        return discretised_gaussian_log_prob(self.scaled(x), mean, 0.5 * log_variance, self.spec.num_levels)

    def draw_steps(self, num: int, stratum: int, strata: int) -> tuple[Tensor, Tensor]:
        """Steps (num,) in 2 .. T and 1 / their probabilities, drawn from part `stratum` of `strata` equal parts of the
        proposal distribution. Within the part they are stratified over the batch, in random order, so that the mean of a
        batch varies less (Kingma et al. 2021, arXiv 2107.00630, appendix I.1).

        Proposal: half uniform, half proportional to the decrease of log(1 + SNR) per step, as L_t is for Gaussian data.
        """
        noise = self.schedule.noise.double()
        fall = (noise[2:] / noise[1:-1]).log()
        proposal = 0.5 / len(fall) + 0.5 * fall / fall.sum()
        place = torch.randperm(num, device=noise.device) + torch.rand(num, device=noise.device, dtype=torch.float64)
        u = (stratum + place / num) / strata
        index = torch.searchsorted(proposal.cumsum(0), u).clamp_max(len(fall) - 1)
        return 2 + index, (1.0 / proposal[index]).float()
