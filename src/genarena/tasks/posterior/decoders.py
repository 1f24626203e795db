"""Decoders of latent codes as posterior samplers see them: p(y | z) and x | z, y, with z ~ N(0, I).

- A model that `Emits`: x = g(z). What is measured has the noise sigma_eff^2 = sigma^2 + a^2, where a is a stated floor for a
  decoder that reaches no image exactly, and for a bijection of levels the width of a cell over sqrt(12), because it has the
  density of dequantised data.
- A model that `Infers`: x ~ p(x|z), its own noise. p(y | z) is exact for masks if p(x|z) is Gaussian or has few levels; else
  it is the Gaussian with the first two moments, of which the covariances between different y_i are left out.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genarena.likelihood import from_space
from genarena.models.capabilities import Emits, Infers
from genarena.spec import DataSpec
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.measured import LEAST_NOISE, independent, moments

ENUMERATED = 32  # levels; sums over more are too slow for every step of a chain


class Decoder(ABC):
    """Of the lanes of a problem. All that it is asked is about some lanes, of which it gets the indices."""

    def __init__(self, model: Emits | Infers, problem: Problem) -> None:
        self.model, self.problem, self.size = model, problem, model.latent_dim
        self.measured = problem.operator.observed.to(problem.y.device).expand(problem.y.shape)

    def start(self) -> Tensor:
        """A draw of the prior per lane, (N, size)."""
        like = self.problem.y
        return self.problem.noise.normal(like.new_empty(len(like), self.size))

    def condition(self, lanes: Tensor) -> Tensor | None:
        return None if self.problem.condition is None else self.problem.condition[lanes]

    @property
    @abstractmethod
    def sigma(self) -> float:
        """The effective noise, without the decoder's own."""

    @abstractmethod
    def log_likelihood(self, z: Tensor, lanes: Tensor, sigma: Tensor) -> Tensor:
        """log p(y | z) (n,) nats of lanes (n,), up to a constant of the lane and sigma; differentiable in z (n, size).
        sigma: (n,) in the place of `self.sigma`, for annealing."""

    @abstractmethod
    def mean(self, z: Tensor) -> Tensor:
        """E[x | z] (N, *shape) of all lanes."""

    @abstractmethod
    def restore(self, z: Tensor) -> Tensor:
        """A draw of x | z, y (N, *shape) of all lanes."""

    def misfit(self, z: Tensor) -> Tensor:
        """The root of the mean square of y - A E[x|z], (N,)."""
        off = self.problem.residual(self.mean(z)).flatten(1).square().sum(1)
        return (off / self.measured.flatten(1).sum(1).clamp_min(1)).sqrt()


class Emitting(Decoder):
    """x = g(z)."""

    def __init__(self, model: Emits, problem: Problem, floor: float) -> None:
        """floor: in the units of the space of the model."""
        super().__init__(model, problem)
        extra = cell(model.spec) * strength(problem.operator) ** 0.5 if model.bijective else floor
        self._sigma = math.hypot(problem.sigma, extra)
        if self._sigma == 0.0:
            raise ValueError("sigma=0: a decoder without noise needs a floor above 0")

    @property
    def sigma(self) -> float:
        return self._sigma

    def log_likelihood(self, z: Tensor, lanes: Tensor, sigma: Tensor) -> Tensor:
        x = self.model.emit(z, self.condition(lanes))
        off = self.problem.y[lanes] - self.problem.operator.rows(lanes)(x)
        return -0.5 * off.flatten(1).square().sum(1) / sigma**2

    def mean(self, z: Tensor) -> Tensor:
        return self.model.emit(z, self.problem.condition)

    def restore(self, z: Tensor) -> Tensor:
        return self.mean(z)


class Inferring(Decoder):
    """x ~ p(x|z); z is whitened: its prior p(z|y) of a condition is N(0, I) too."""

    def __init__(self, model: Infers, problem: Problem) -> None:
        super().__init__(model, problem)
        spec, operator = model.spec, problem.operator
        self.masked = operator.observed_shape == operator.shape and torch.equal(operator.observed, operator.known)
        self.exact = self.masked and (not spec.is_discrete or spec.num_levels <= ENUMERATED)
        prior = model.prior(problem.condition, len(problem))
        self.centre, self.scale = prior.mean, (0.5 * prior.log_var).exp()

    @property
    def sigma(self) -> float:
        return self.problem.sigma

    def code(self, z: Tensor, lanes: Tensor | slice = slice(None)) -> Tensor:
        return self.centre[lanes] + self.scale[lanes] * z

    def log_likelihood(self, z: Tensor, lanes: Tensor, sigma: Tensor) -> Tensor:
        distribution = self.model.likelihood_of(self.code(z, lanes), self.condition(lanes))
        y, m = self.problem.y[lanes], self.measured[lanes]
        if self.exact:
            found = independent(distribution).given(y.flatten(1), sigma[:, None].double(), m.flatten(1))
            return found[0].sum(1).to(z.dtype)
        operator = self.problem.operator.rows(lanes)
        mean, variance = (part.view(-1, *operator.shape) for part in moments(distribution))
        total = operator(variance) * strength(operator) + sigma.view(-1, *[1] * (y.dim() - 1)) ** 2
        total = total.clamp_min(LEAST_NOISE**2)
        fit = -0.5 * ((y - operator(mean)).square() / total + total.log())
        return torch.where(m, fit, 0.0).flatten(1).sum(1)

    def mean(self, z: Tensor) -> Tensor:
        distribution = self.model.likelihood_of(self.code(z), self.problem.condition)
        return moments(distribution)[0].view(self.problem.shape)

    def restore(self, z: Tensor) -> Tensor:
        """Masks: exact. Other operators: x | z alone."""
        return drawn(self.model, self.code(z), self.problem, self.masked)


def drawn(model: Infers, z: Tensor, problem: Problem, masked: bool = True) -> Tensor:
    """x ~ p(x | z, y) of a masked problem, else x ~ p(x | z); (N, *shape) in the space of the model."""
    values = independent(model.likelihood_of(z, problem.condition))
    if masked:
        m = problem.operator.observed.to(z.device).expand(problem.shape).flatten(1)
        values = values.given(problem.y.flatten(1), problem.sigma, m)[1]
    u = problem.noise.uniform(torch.empty(problem.shape, dtype=torch.float64, device=z.device)).flatten(1)
    return in_space(values.draw(u).view(problem.shape), model)


def in_space(values: Tensor, model: Infers) -> Tensor:
    """Levels as floats, or floats, to the space of the model; float32 for networks, else of the type of the values."""
    levels = model.spec.num_levels
    return (values * (2.0 / (levels - 1)) - 1.0).float() if model.spec.is_discrete else values


def data_of(x: Tensor, model: Infers) -> Tensor:
    """The inverse of `in_space`: what `posterior` and `log_prob` take."""
    return from_space(x, model.spec)


def decoder_of(model: Emits | Infers, problem: Problem, floor: float) -> Decoder:
    """floor: in units of [0, 1] for levels, where the space of the model is twice as wide; of the data for floats."""
    if isinstance(model, Infers):
        return Inferring(model, problem)
    return Emitting(model, problem, 2.0 * floor if model.spec.is_discrete else floor)


def cell(spec: DataSpec) -> float:
    """The standard deviation of a value within the cell of its level, 0 for floats."""
    return 2.0 / (spec.num_levels - 1) / math.sqrt(12.0) if spec.is_discrete else 0.0


def strength(operator: Operator) -> float:
    """The diagonal of A A^T, the same for all measurements; read off in the middle of y, or where a mask measures."""
    if operator.known.any():
        return 1.0
    one = torch.zeros(1, *operator.observed_shape)
    middle = (0, *(size // 2 for size in operator.observed_shape))
    one[middle] = 1.0
    return operator(operator.adjoint(one))[middle].item()
