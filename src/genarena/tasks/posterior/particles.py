"""Particles that go through a factorised model dimension by dimension, weighed by what is measured of each.

At a measured dimension the proposal is p(x_i | x_<i, y_i), which varies the weights least (Doucet, Godsill & Andrieu 2000, doi
10.1023/A:1008935410038, prop. 2): they are multiplied by p(y_i | x_<i), the sum over x_i of p(x_i | x_<i) N(y_i; x_i, sigma^2).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import to_space
from genarena.models.capabilities import Factorises
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.measured import independent

ROWS = 1024  # particles at once
FEW = 0.5  # share of effective particles below which a lane is resampled


@dataclass(frozen=True)
class Cloud:
    """x: (N, P, *shape) in the space of the model. log_weights: (N, P), of the last resampling on. log_evidence: (N,) the
    estimate of log p(y), up to a constant. resamplings: (N,). smallest: (N,) the smallest share of effective particles."""

    x: Tensor
    log_weights: Tensor
    log_evidence: Tensor
    resamplings: Tensor
    smallest: Tensor


class Particles:
    """A `Choose` and a `Select` for `num` particles per lane, those of a lane side by side."""

    def __init__(self, problem: Problem, num: int) -> None:
        lanes, size = len(problem), problem.y[0].numel()
        like = torch.empty(lanes, size, num + 1, dtype=torch.float64, device=problem.y.device)
        self.uniform = problem.noise.uniform(like)  # a column per particle, and one for the resampling
        observed = problem.operator.observed.to(problem.y.device).expand(problem.y.shape)
        self.observed, self.y = observed.flatten(1), problem.y.flatten(1)
        self.sigma, self.num, self.shape, self.step = problem.sigma, num, problem.shape[1:], 0
        self.log_weights = like.new_zeros(lanes, num)
        self.log_evidence, self.resamplings = like.new_zeros(lanes), like.new_zeros(lanes)
        self.smallest = like.new_ones(lanes)

    def __call__(self, distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        height, width = self.shape[1:] if len(self.shape) == 3 else (1, 1)
        place = (channel * height + row) * width + column
        values, measured = independent(distribution), self.observed[:, place]
        if measured.any():
            y = self.y[:, place].repeat_interleave(self.num)[:, None]
            evidence, values = values.given(y, self.sigma, measured.repeat_interleave(self.num)[:, None])
            self.log_weights += evidence.view(-1, self.num)
        drawn = values.draw(self.uniform[:, self.step, : self.num].reshape(-1, 1)).squeeze(1)
        self.step += 1
        return drawn.float()

    def select(self) -> Tensor | None:
        """Systematic resampling of the lanes of which few particles are effective."""
        if self.num == 1:
            return None
        weights = torch.softmax(self.log_weights, 1)
        share = 1.0 / (self.num * weights.square().sum(1))
        self.smallest = torch.minimum(self.smallest, share)
        few = share < FEW
        if not few.any():
            return None
        own = torch.arange(self.num, device=few.device).expand(len(few), -1)
        starts = self.uniform[:, self.step - 1, self.num :]
        chosen = torch.where(few[:, None], systematic(weights, starts), own)
        self.log_evidence += torch.where(few, self._log_mean_weight(), 0.0)
        self.log_weights = torch.where(few[:, None], 0.0, self.log_weights)
        self.resamplings += few
        return (chosen + torch.arange(len(few), device=few.device)[:, None] * self.num).flatten()

    def _log_mean_weight(self) -> Tensor:
        return self.log_weights.logsumexp(1) - torch.tensor(float(self.num)).log().item()

    def cloud(self, x: Tensor) -> Cloud:
        evidence = self.log_evidence + self._log_mean_weight()
        return Cloud(x.unflatten(0, (-1, self.num)), self.log_weights, evidence, self.resamplings, self.smallest)


def systematic(weights: Tensor, start: Tensor) -> Tensor:
    """Indices (N, P) of particles with normalised weights (N, P): one of each of P equal shares, all at the same place
    `start` (N, 1) in [0, 1) of their share. Every particle is taken floor(P w) or ceil(P w) times."""
    num = weights.shape[1]
    points = (torch.arange(num, device=weights.device) + start) / num
    return torch.searchsorted(weights.cumsum(1), points, right=True).clamp_max(num - 1)


def sweep(model: Factorises, problem: Problem, num: int) -> Cloud:
    """`num` particles per lane through the model."""
    particles = Particles(problem, num)
    condition = None if problem.condition is None else problem.condition.repeat_interleave(num, 0)
    x = model.traverse(len(problem) * num, particles, condition, select=particles.select)
    return particles.cloud(to_space(x, model.spec))


def one_each(cloud: Cloud, problem: Problem) -> Tensor:
    """A particle of each lane by its weight: (N, *shape)."""
    weights = torch.softmax(cloud.log_weights, 1)
    u = problem.noise.uniform(torch.empty(len(problem), 1, dtype=torch.float64, device=weights.device))
    chosen = torch.searchsorted(weights.cumsum(1), u, right=True).clamp_max(weights.shape[1] - 1).squeeze(1)
    return cloud.x[torch.arange(len(chosen), device=chosen.device), chosen]


def needs_a_mask(operator: Operator) -> str:
    """A refusal, unless single dimensions are measured."""
    same = operator.observed_shape == operator.shape and torch.equal(operator.observed, operator.known)
    return "" if same else "needs a mask: it weighs each dimension by its own measurement"


def comes_first(model: Factorises, problem: Problem) -> Tensor:
    """Whether what is measured comes before all else in the order of the model, bool (N,)."""
    observed = problem.operator.observed.to(problem.y.device).expand(problem.y.shape).flatten(1)
    observed = observed[:, model.order().to(observed.device)]
    return ~(observed[:, 1:] & ~observed[:, :-1]).any(1)
