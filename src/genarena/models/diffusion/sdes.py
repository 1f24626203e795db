"""The stochastic differential equations of Song et al. 2021 (arXiv 2011.13456), by the noise s / a of their marginals.

Variance exploding (eq. 9 and 31): dx = sqrt(d s^2 / dt) dw, a = 1. Variance preserving (eq. 11 and 33), B(t) the integral of
beta(t): dx = -beta x / 2 dt + sqrt(beta) dw, a^2 = exp(-B), s^2 = 1 - a^2. Sub-VP (eq. 12 and 29): the same drift and
sqrt(beta (1 - exp(-2 B))) dw, s = 1 - a^2. Time runs from 0 (data) to 1 (noise).

For each of them g^2 / s^2 = d(ln sigma^2) / dt, g the diffusion coefficient: the weight of the likelihood is even in ln sigma.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SDE(ABC):
    """x_t ~ N(a x_0, s^2 I)."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """s / a at times t in [0, 1]."""

    @abstractmethod
    def time(self, sigma: Tensor) -> Tensor:
        """The inverse of `sigma`."""

    @abstractmethod
    def signal(self, sigma: Tensor) -> Tensor:
        """a, where the noise is sigma = s / a."""


@dataclass(frozen=True)
class VarianceExploding(SDE):
    """sigma from `least` to `most`, even in ln sigma."""

    least: float = 0.01
    most: float = 50.0

    def sigma(self, t: Tensor) -> Tensor:
        return self.least * (self.most / self.least) ** t

    def time(self, sigma: Tensor) -> Tensor:
        return (sigma / self.least).log() / math.log(self.most / self.least)

    def signal(self, sigma: Tensor) -> Tensor:
        return sigma.new_ones(sigma.shape)


@dataclass(frozen=True)
class VariancePreserving(SDE):
    """beta(t) = first + t (last - first)."""

    first: float = 0.1
    last: float = 20.0

    def sigma(self, t: Tensor) -> Tensor:
        return self._integral(t).expm1().sqrt()

    def time(self, sigma: Tensor) -> Tensor:
        return self._time(sigma.square().log1p())

    def signal(self, sigma: Tensor) -> Tensor:
        return (1.0 + sigma.square()).rsqrt()

    def _integral(self, t: Tensor) -> Tensor:
        return t * (self.first + 0.5 * t * (self.last - self.first))

    def _time(self, integral: Tensor) -> Tensor:
        """Of B(t); the root of a quadratic equation."""
        return 2.0 * integral / (self.first + (self.first**2 + 2.0 * (self.last - self.first) * integral).sqrt())


@dataclass(frozen=True)
class SubVP(VariancePreserving):
    """s / a = 2 sinh(B / 2)."""

    def sigma(self, t: Tensor) -> Tensor:
        return 2.0 * (0.5 * self._integral(t)).sinh()

    def time(self, sigma: Tensor) -> Tensor:
        return self._time(2.0 * (0.5 * sigma).asinh())

    def signal(self, sigma: Tensor) -> Tensor:
        return 2.0 / (sigma + (sigma.square() + 4.0).sqrt())
