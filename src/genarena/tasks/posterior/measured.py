"""Distributions of single dimensions, and what they become once the dimensions are measured with noise.

p(x_i | y_i) ~ p(x_i) N(y_i; x_i, sigma^2): by enumeration where x_i is a level, in closed form for mixtures of Gaussians.
Both draw by inversion, a uniform number for each dimension, so that lanes may bring their own random numbers.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.distributions import DiscretisedLogistic, DiscretisedLogisticMixture, PixelDistribution
from genarena.likelihood import to_unit
from genarena.models.autoregressive.gaussian_mixture import GaussianMixture
from genarena.models.capabilities import DiagonalNormal

LEAST_MASS = 1e-30  # of a level: no level is impossible, and weights stay finite
LEAST_NOISE = 1e-4  # of a lane without noise: all weight is on the nearest level
NODES = 16  # of a quadrature over quantiles


class Independent(ABC):
    """Independent distributions of D dimensions, (N, D) in all; computed in float64."""

    @abstractmethod
    def given(self, y: Tensor, sigma: float | Tensor, m: Tensor) -> tuple[Tensor, "Independent"]:
        """log of the sum over x of p(x) N(y; x, sigma^2), (N, D), up to a constant, and p(x | y).

        y: (N, D) in the space of `likelihood.to_space`. sigma: a number, 0 included, or (N, 1). m: bool, broadcasts with
        (N, D); the other dimensions are not measured, with 0 in the place of the first result.
        """

    @abstractmethod
    def draw(self, u: Tensor) -> Tensor:
        """Values (N, D), levels or floats, from uniform numbers (N, D) in [0, 1), float64; NaN for broken parameters."""


@dataclass(frozen=True)
class Levels(Independent):
    """log_masses: (N, L, D), not normalised."""

    log_masses: Tensor

    def given(self, y: Tensor, sigma: float | Tensor, m: Tensor) -> tuple[Tensor, "Levels"]:
        num = self.log_masses.shape[1]
        levels = to_unit(torch.arange(num, device=y.device), num).double()[:, None]
        off = (y.double()[:, None] - levels).square()
        if isinstance(sigma, Tensor):
            fit = -0.5 * off / sigma[:, None].clamp_min(LEAST_NOISE) ** 2
        elif sigma == 0:
            fit = torch.where(off == off.amin(1, keepdim=True), 0.0, -math.inf)
        else:
            fit = -0.5 * off / sigma**2
        found = torch.where(m[:, None], self.log_masses + fit, self.log_masses)
        evidence = found.logsumexp(1) - self.log_masses.logsumexp(1)
        return torch.where(m, evidence, 0.0), Levels(found)

    def draw(self, u: Tensor) -> Tensor:
        cumulative = torch.softmax(self.log_masses, 1).cumsum(1)
        threshold = u * cumulative[:, -1]  # NaN if a mass is
        level = (threshold[:, None] >= cumulative).sum(1).clamp_max(cumulative.shape[1] - 1)
        return level + 0.0 * threshold


@dataclass(frozen=True)
class Mixture(Independent):
    """K Gaussians per dimension; all (N, K, D)."""

    logits: Tensor
    mean: Tensor
    variance: Tensor

    def given(self, y: Tensor, sigma: float | Tensor, m: Tensor) -> tuple[Tensor, "Mixture"]:
        noise = (sigma[:, None] if isinstance(sigma, Tensor) else sigma) ** 2
        total, y, m_k = self.variance + noise, y.double()[:, None], m[:, None]
        fit = -0.5 * ((y - self.mean).square() / total + total.log())
        logits = torch.where(m_k, self.logits + fit, self.logits)
        mean = torch.where(m_k, (self.mean * noise + y * self.variance) / total, self.mean)
        variance = torch.where(m_k, self.variance * noise / total, self.variance)
        evidence = logits.logsumexp(1) - self.logits.logsumexp(1)
        return torch.where(m, evidence, 0.0), Mixture(logits, mean, variance)

    def draw(self, u: Tensor) -> Tensor:
        """The component by inversion; what is left of u, uniform given the component, draws from it."""
        weights = torch.softmax(self.logits, 1)
        ends = weights.cumsum(1)
        chosen = (u[:, None] >= ends).sum(1, keepdim=True).clamp_max(weights.shape[1] - 1)
        weight = weights.gather(1, chosen).squeeze(1)
        rest = (u - ends.gather(1, chosen).squeeze(1) + weight) / weight
        normal = torch.special.ndtri(rest.clamp(1e-12, 1.0 - 1e-12))
        return self.mean.gather(1, chosen).squeeze(1) + self.variance.gather(1, chosen).squeeze(1).sqrt() * normal


def independent(distribution: PixelDistribution | GaussianMixture | DiagonalNormal) -> Independent:
    """Of D dimensions, in the order of `x.flatten(1)`."""
    if isinstance(distribution, PixelDistribution):
        return Levels(distribution.probs().flatten(2).clamp_min(LEAST_MASS).log())
    if isinstance(distribution, GaussianMixture):
        return Mixture(
            distribution.logits.double(), distribution.mean.double(), (2.0 * distribution.log_scale.double()).exp()
        )
    mean = distribution.mean.double()[:, None]
    return Mixture(torch.zeros_like(mean), mean, distribution.log_var.double()[:, None].exp())


def moments(distribution: PixelDistribution | DiagonalNormal) -> tuple[Tensor, Tensor]:
    """Mean and variance of every dimension, in the space of `likelihood.to_space`; differentiable.

    Logistics: of `NODES` quantiles in the middle of as many equal shares, spread to the variance of the whole; the outer
    levels take the tails.
    """
    if isinstance(distribution, DiscretisedLogisticMixture):
        weights = torch.softmax(distribution.logits, 1).movedim(1, 0)
        parts = zip(weights, distribution.mean.unbind(1), distribution.log_scale.unbind(1), strict=True)
        found = [(w, *_of_logistic(mean, log_scale)) for w, mean, log_scale in parts]
        mean = sum(w * m for w, m, _ in found)
        return mean, sum(w * (v + (m - mean).square()) for w, m, v in found)
    if isinstance(distribution, DiscretisedLogistic):
        return _of_logistic(distribution.mean, distribution.log_scale)
    if isinstance(distribution, PixelDistribution):
        num = distribution.num_levels
        masses = distribution.probs()
        levels = to_unit(torch.arange(num, device=masses.device), num).double().view(1, -1, 1, 1, 1)
        mean = (masses * levels).sum(1)
        return mean.float(), (masses * (levels - mean[:, None]).square()).sum(1).float()
    return distribution.mean, distribution.log_var.exp()


def _of_logistic(mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    shares = (torch.arange(NODES, device=mean.device) + 0.5) / NODES
    nodes = torch.logit(shares)
    nodes = nodes * (math.pi / math.sqrt(3.0)) / nodes.square().mean().sqrt()
    x = (mean[..., None] + log_scale.exp()[..., None] * nodes).clamp(-1.0, 1.0)
    centre = x.mean(-1)
    return centre, (x - centre[..., None]).square().mean(-1)
