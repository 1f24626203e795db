"""Metropolis-adjusted Langevin on log p(x) + log p(y | x) (Roberts & Tweedie 1996, doi 10.2307/3318418; annealed as in Song &
Ermon 2019, arXiv 1907.05600, and Kawar, Vaksman & Elad 2021, arXiv 2105.14951).

Where the chain walks:
- A bijection of Gaussian codes: in the codes z, where the density is N(z; 0, I) p(y | g(z)) because the Jacobian cancels. In x
  the scales of an image's pixels differ by hundreds.
- Another density: in x over the standard deviations of the model's samples, from one of them.

y is of the data, and u, whose density the model has, is not quite:
- Levels: u is dequantised. The noise of y is wider, by the standard deviation of a value in its cell.
- u = x + noise n (energies): p(y | u) = N(y; A x(u), sigma^2 + A s^2 A^T), x(u) = E[x | u] = u + noise^2 grad log p(u) by
  Tweedie's formula (Miyasawa 1961), s^2 its mean squared error on samples of the model. The result is E[x | u, y] under these
  Gaussians.

Differs from the papers: every step is accepted or rejected, at each level of the annealing; the noise of y is annealed, not
that of x; the step size is each lane's own, adapted while the chain warms up and then frozen.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.likelihood import to_space
from genarena.models.capabilities import Differentiates, Emits
from genarena.options.values import Count, Share
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.decoders import Emitting, cell, strength
from genarena.tasks.posterior.elliptical_slice import annealed

STARTS = 100  # samples of the model, the same for all lanes
WANTED, RATE, FIRST = 0.574, 0.2, 0.1  # acceptance (Roberts & Rosenthal 1998), how fast log h follows it, the first h


@dataclass(frozen=True)
class Langevin(PosteriorSampler):
    """s' = s + h grad log p(s|y) + sqrt(2 h) N(0, I), accepted with the Metropolis ratio.

    num_steps: of the chain. anneal: share of them in which the noise of y falls to its own value. adapt: share of them in which
        the step size h changes, the annealing included.
    """

    name = "langevin"
    needs = Differentiates
    exactness = "asymptotic"
    paper = "10.2307/3318418"

    num_steps: Count = 400
    anneal: Share = 0.5
    adapt: Share = 0.75

    def draw(self, model: Differentiates, problem: Problem) -> Draws:
        bijective = isinstance(model, Emits) and model.bijective
        target = Codes(model, problem) if bijective else Data(model, problem)
        state, acceptance = self.walk(target, problem)
        return Draws(target.finish(state), 2.0 * (self.num_steps + 1), {"acceptance": acceptance})

    def walk(self, target: "Target", problem: Problem) -> tuple[Tensor, Tensor]:
        """The last states, and the share of accepted steps once h is frozen, (N,)."""
        state = target.start()
        widest = target.misfit(state).clamp_min(target.sigma)
        size, accepted, here = torch.full_like(widest, FIRST), torch.zeros_like(widest), None
        cooling, adapting = round(self.anneal * self.num_steps), round(self.adapt * self.num_steps)
        for step in range(self.num_steps):
            sigma = annealed(widest, target.sigma, min(1.0, (step + 1) / max(cooling, 1)))
            if here is None or step < cooling:
                here = target.value_and_slope(state, sigma)
            state, here, chance = mala_step(target, state, here, size, sigma)
            if step < adapting:
                size = size * (RATE * (chance - WANTED)).exp()
            else:
                accepted = accepted + chance
        return state, accepted / max(1, self.num_steps - adapting)


Place = tuple[Tensor, Tensor]  # log p(s | y) (N,) and its gradient (N, D)


def mala_step(
    target: "Target", state: Tensor, here: Place, size: Tensor, sigma: Tensor
) -> tuple[Tensor, Place, Tensor]:
    """The next states (N, D), what is known there, and the probability of acceptance (N,). size: h (N,)."""
    noise, h = target.problem.noise, size[:, None]
    other = state + h * here[1] + (2.0 * h).sqrt() * noise.normal(state)
    there = target.value_and_slope(other, sigma)
    back, forth = state - other - h * there[1], other - state - h * here[1]
    log_ratio = there[0] - here[0] - (back.square() - forth.square()).sum(1) / (4.0 * size)
    chance = log_ratio.nan_to_num(-math.inf, posinf=math.inf).exp().clamp_max(1.0)
    taken = noise.uniform(size[:, None]).squeeze(1) < chance
    new = tuple(torch.where(taken.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(there, here, strict=True))
    return torch.where(taken[:, None], other, state), new, chance


class Target(ABC):
    """log p(s | y) of states s (N, D)."""

    problem: Problem
    sigma: float  # of y, with all that is added to it

    @abstractmethod
    def start(self) -> Tensor: ...

    @abstractmethod
    def misfit(self, state: Tensor) -> Tensor:
        """The root of the mean square of y - A x, (N,)."""

    @abstractmethod
    def log_density(self, state: Tensor, sigma: Tensor) -> Tensor:
        """log p(s) + log p(y | s), (N,) nats up to a constant."""

    @abstractmethod
    def finish(self, state: Tensor) -> Tensor:
        """x (N, *shape)."""

    def value_and_slope(self, state: Tensor, sigma: Tensor) -> Place:
        with torch.enable_grad():
            state = state.detach().requires_grad_()
            value = self.log_density(state, sigma)
            (slope,) = torch.autograd.grad(value.sum(), state)
        return value.detach(), slope


class Codes(Target):
    """s = z of a bijection."""

    def __init__(self, model: Emits, problem: Problem) -> None:
        self.decoder, self.problem = Emitting(model, problem, 0.0), problem
        self.sigma, self.lanes = self.decoder.sigma, torch.arange(len(problem), device=problem.y.device)

    def start(self) -> Tensor:
        return self.decoder.start()

    def misfit(self, state: Tensor) -> Tensor:
        return self.decoder.misfit(state)

    def finish(self, state: Tensor) -> Tensor:
        return self.decoder.restore(state)

    def log_density(self, state: Tensor, sigma: Tensor) -> Tensor:
        return self.decoder.log_likelihood(state, self.lanes, sigma) - 0.5 * state.square().sum(1)


class Data(Target):
    """s = (u - mean) / deviation, of samples of the model."""

    def __init__(self, model: Differentiates, problem: Problem) -> None:
        self.model, self.problem = model, problem
        extra = model.noise or cell(model.spec)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            samples = to_space(model.sample(STARTS), model.spec).to(problem.y)
        self.samples, self.extra = samples.flatten(1), extra
        self.mean, variance = self.samples.mean(0), self.samples.var(0)
        self.deviation = (variance + extra**2 + 1e-6 * variance.mean()).sqrt()
        self.error = self.denoising_error(samples) if model.noise else extra
        self.sigma = math.hypot(problem.sigma, self.error * strength(problem.operator) ** 0.5)
        if self.sigma == 0.0:
            raise ValueError("sigma=0: the gradient of a density needs noise in y")

    def denoising_error(self, x: Tensor) -> float:
        """The root of the mean square of x(u) - x, u = x + noise n."""
        n = torch.randn(x.shape, generator=seeded_generator("noise"), dtype=x.dtype).to(x.device)
        return (self.clean(x + self.model.noise * n, None)[1].detach() - x).square().mean().sqrt().item()

    def clean(self, u: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """log p(u) (N,), and x(u) (N, *shape); both differentiable where u is."""
        with torch.enable_grad():
            at = u if u.requires_grad else u.detach().requires_grad_()
            value = self.model.log_density(at, condition)
            if not self.model.noise:
                return value, u
            (slope,) = torch.autograd.grad(value.sum(), at, create_graph=u.requires_grad)
            return value, u + self.model.noise**2 * slope

    def start(self) -> Tensor:
        """A sample of the model per lane, with the noise of its density."""
        u = self.problem.noise.uniform(self.samples.new_empty(len(self.problem), 1)).squeeze(1)
        chosen = self.samples[(u * STARTS).long().clamp_max(STARTS - 1)]
        return (chosen + self.extra * self.problem.noise.normal(chosen) - self.mean) / self.deviation

    def data(self, state: Tensor) -> Tensor:
        return (self.mean + self.deviation * state).view(self.problem.shape)

    def misfit(self, state: Tensor) -> Tensor:
        off = (
            self.problem.residual(self.clean(self.data(state), self.problem.condition)[1].detach())
            .flatten(1)
            .square()
            .sum(1)
        )
        return (off / self.problem.num_observed().to(off.device).clamp_min(1)).sqrt()

    def log_density(self, state: Tensor, sigma: Tensor) -> Tensor:
        value, x = self.clean(self.data(state), self.problem.condition)
        off = self.problem.residual(x).flatten(1).square().sum(1)
        return value.to(off.dtype) - 0.5 * off / sigma**2

    def finish(self, state: Tensor) -> Tensor:
        u = self.data(state)
        if not self.model.noise:
            return u
        x, operator = self.clean(u, self.problem.condition)[1].detach(), self.problem.operator
        weight = (self.problem.sigma / self.error) ** 2
        return x + operator.adjoint(operator.solve(self.problem.residual(x), weight))
