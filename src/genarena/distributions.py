"""Distributions over integer levels, returned by decoders and autoregressive heads.

All have the interface of `PixelDistribution`. `PixelHead(kind, spec)` builds one from network outputs; its `out_channels` is
the number of outputs that it needs per pixel.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.likelihood import as_levels, nearest_level, to_unit
from genarena.spec import DataSpec


class PixelDistribution(ABC):
    """One independent distribution over `num_levels` levels for each dimension of (N, C, H, W)."""

    num_levels: int

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of integer levels x (N, C, H, W), in nats per dimension, same shape."""

    @abstractmethod
    def draw(self) -> Tensor:
        """A sample (N, C, H, W), levels as floats; NaN where a parameter is not finite.

        Autoregressive models draw dimension by dimension with it, and call `as_levels` once at the end.
        """

    @abstractmethod
    def likeliest(self) -> Tensor:
        """The most likely levels (N, C, H, W), as floats; NaN where a parameter is not finite."""

    @abstractmethod
    def probs(self) -> Tensor:
        """The probability of every level, (N, L, C, H, W) in float64."""

    def sample(self) -> Tensor:
        """A sample (N, C, H, W), integers; floats with NaN where a parameter is not finite (`as_levels`)."""
        return as_levels(self.draw(), self.num_levels)

    def mode(self) -> Tensor:
        """The most likely levels (N, C, H, W), integers; floats with NaN where a parameter is not finite (`as_levels`)."""
        return as_levels(self.likeliest(), self.num_levels)


def bernoulli(p: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """1 with probability p, else 0, like p; NaN where p is. On a CPU it draws the numbers of `torch.bernoulli`, faster."""
    kind = torch.promote_types(p.dtype, torch.float32)  # half types have too few numbers
    drawn = torch.rand(p.shape, generator=generator, dtype=kind, device=p.device).lt_(p)
    return drawn.to(p.dtype).add_(p, alpha=0.0)


@dataclass
class Bernoulli(PixelDistribution):
    """Binary pixels; `logits` (N, C, H, W). Two levels only."""

    logits: Tensor
    num_levels: ClassVar[int] = 2

    def log_prob(self, x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, x.float(), reduction="none").neg_()

    def draw(self) -> Tensor:
        return bernoulli(torch.sigmoid(self.logits)).add_(self.logits, alpha=0.0)

    def likeliest(self) -> Tensor:
        return (self.logits > 0) + 0.0 * self.logits

    def probs(self) -> Tensor:
        return torch.sigmoid(torch.stack([-self.logits, self.logits], 1).double())


@dataclass
class Categorical(PixelDistribution):
    """Any number of levels L; `logits` (N, L, C, H, W)."""

    logits: Tensor

    @property
    def num_levels(self) -> int:
        return self.logits.shape[1]

    def log_prob(self, x: Tensor) -> Tensor:
        rows = self.logits.movedim(1, -1).flatten(0, -2)  # classes last: twice as fast on channels-last outputs
        return -F.cross_entropy(rows, x.long().flatten(), reduction="none").view(x.shape)

    def draw(self) -> Tensor:
        """By inversion of the cumulative distribution, with one random number per dimension."""
        cumulative = torch.softmax(self.logits.float(), 1).cumsum(1)
        threshold = torch.rand_like(cumulative[:, :1]) * cumulative[:, -1:]  # NaN if a logit is
        return (threshold >= cumulative).sum(1).clamp_max(self.logits.shape[1] - 1) + 0.0 * threshold.squeeze(1)

    def likeliest(self) -> Tensor:
        largest, level = self.logits.float().max(1)  # NaN if a logit is
        return level + 0.0 * largest

    def probs(self) -> Tensor:
        return torch.softmax(self.logits.double(), 1)


def discretised_logistic_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, num_levels: int) -> Tensor:
    """log[ sigma((x + h - mean) / s) - sigma((x - h - mean) / s) ], h half a bin, the edge bins open-ended.

    Salimans et al. 2017 (PixelCNN++, arXiv 1701.05517), eq. 2. `x` in [-1, 1] from `to_unit`; shapes broadcast.
    The difference of sigmoids is computed in the log domain, so no clamp is needed and the masses sum to one:
    sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b - a)).
    """
    half = 1.0 / (num_levels - 1)
    centred, inverse_scale = x - mean, torch.exp(-log_scale)
    upper, lower = inverse_scale * (centred + half), inverse_scale * (centred - half)
    log_width = torch.log(-torch.expm1(-2.0 * half * inverse_scale))
    middle = F.logsigmoid(upper) + F.logsigmoid(-lower) + log_width
    return torch.where(x < half - 1.0, F.logsigmoid(upper), torch.where(x > 1.0 - half, F.logsigmoid(-lower), middle))


def discretised_gaussian_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, num_levels: int) -> Tensor:
    """log[ Phi((x + h - mean) / s) - Phi((x - h - mean) / s) ], h half a bin, the edge bins open-ended.

    Ho et al. 2020 (DDPM, arXiv 2006.11239), eq. 13: the mass of the levels from_unit(mean + s N(0, 1)). `x` in [-1, 1] from
    `to_unit`; shapes broadcast. Computed in the log domain, mirrored to the tail in which neither Phi is close to one.
    """
    half = 1.0 / (num_levels - 1)
    centred, inverse_scale = x - mean, torch.exp(-log_scale)
    upper, lower = inverse_scale * (centred + half), inverse_scale * (centred - half)
    below, first, last = centred < 0, x < half - 1.0, x > 1.0 - half
    near = torch.where(first | (below & ~last), upper, -lower)  # of an edge bin its one end
    log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(torch.where(below, lower, -upper))
    return torch.where(first | last, log_near, log_near + torch.log(-torch.expm1(log_far - log_near)))


@dataclass
class DiscretisedLogistic(PixelDistribution):
    """One logistic per dimension, integrated over bins; `mean` and `log_scale` (N, C, H, W) in units of [-1, 1]."""

    mean: Tensor
    log_scale: Tensor
    num_levels: int

    def log_prob(self, x: Tensor) -> Tensor:
        return discretised_logistic_log_prob(to_unit(x, self.num_levels), self.mean, self.log_scale, self.num_levels)

    def draw(self) -> Tensor:
        return nearest_level(self.mean + torch.exp(self.log_scale) * _logistic_noise(self.mean), self.num_levels)

    def likeliest(self) -> Tensor:
        return nearest_level(self.mean + 0.0 * self.log_scale, self.num_levels)

    def probs(self) -> Tensor:
        return _bin_masses(_logistic_cdf(self.mean, self.log_scale, self.num_levels))


@dataclass
class DiscretisedLogisticMixture(PixelDistribution):
    """K logistics per dimension; `logits`, `mean`, `log_scale` (N, K, C, H, W)."""

    logits: Tensor
    mean: Tensor
    log_scale: Tensor
    num_levels: int

    def log_prob(self, x: Tensor) -> Tensor:
        unit = to_unit(x, self.num_levels).unsqueeze(1)
        components = discretised_logistic_log_prob(unit, self.mean, self.log_scale, self.num_levels)
        return torch.logsumexp(F.log_softmax(self.logits, 1) + components, 1)

    def draw(self) -> Tensor:
        gumbel = -torch.empty_like(self.logits).exponential_().log()
        chosen = (self.logits + gumbel).argmax(1, keepdim=True)
        mean, log_scale = self.mean.gather(1, chosen).squeeze(1), self.log_scale.gather(1, chosen).squeeze(1)
        x = mean + torch.exp(log_scale) * _logistic_noise(mean)
        return nearest_level(x + self._zero(), self.num_levels)

    def likeliest(self) -> Tensor:
        chosen = self.logits.argmax(1, keepdim=True)
        return nearest_level(self.mean.gather(1, chosen).squeeze(1) + self._zero(), self.num_levels)

    def _zero(self) -> Tensor:
        """(N, C, H, W): 0; NaN where a parameter of any component is not finite."""
        return 0.0 * (self.logits + self.mean + self.log_scale).sum(1)

    def probs(self) -> Tensor:
        weights = torch.softmax(self.logits.double(), 1).unsqueeze(2).unbind(1)
        parts = zip(weights, self.mean.unbind(1), self.log_scale.unbind(1), strict=True)
        return _bin_masses(sum(weight * _logistic_cdf(m, s, self.num_levels) for weight, m, s in parts))


def _logistic_cdf(mean: Tensor, log_scale: Tensor, num_levels: int) -> Tensor:
    """Cumulative distribution at the L - 1 boundaries between levels: (N, L - 1, C, H, W), float64."""
    edges = torch.arange(1, num_levels, device=mean.device, dtype=torch.float64) * 2.0 - 1.0
    edges = (edges / (num_levels - 1) - 1.0).view(-1, 1, 1, 1)
    return torch.sigmoid((edges - mean.double().unsqueeze(1)) * torch.exp(-log_scale.double()).unsqueeze(1))


def _bin_masses(cdf: Tensor) -> Tensor:
    """Mass of each level (N, L, C, H, W), from the cumulative distribution at the boundaries."""
    padded = torch.cat([torch.zeros_like(cdf[:, :1]), cdf, torch.ones_like(cdf[:, :1])], 1)
    return padded.diff(dim=1).clamp_min(0.0)


def _logistic_noise(like: Tensor) -> Tensor:
    uniform = torch.rand_like(like).clamp(1e-7, 1.0 - 1e-7)
    return torch.log(uniform) - torch.log1p(-uniform)


KINDS = ("auto", "bernoulli", "categorical", "logistic", "logistic_mixture")


class PixelHead:
    """Turns network outputs (N, out_channels, H, W) into a distribution over the levels of `spec`.

    kind: one of `KINDS`; "auto" is Bernoulli for 2 levels, categorical for the levels of a palette, which have no order, and
        the discretised logistic otherwise.
    Raises ValueError for an unknown kind, or Bernoulli pixels on more than two levels.
    """

    def __init__(self, kind: str, spec: DataSpec, num_mixtures: int = 10) -> None:
        if kind not in KINDS:
            raise ValueError(f"pixel distribution {kind!r}: expected one of {', '.join(KINDS)}")
        if kind == "auto":
            kind = "bernoulli" if spec.num_levels == 2 else "categorical" if spec.palette else "logistic"
        if kind == "bernoulli" and spec.num_levels != 2:
            raise ValueError(f"bernoulli pixels need num_levels=2, and this data set has {spec.num_levels}")
        self.kind, self.spec, self.num_mixtures = kind, spec, num_mixtures
        per_dim = {"bernoulli": 1, "categorical": spec.num_levels, "logistic": 2, "logistic_mixture": 3 * num_mixtures}
        self.out_channels = per_dim[kind] * spec.shape[0]

    def __call__(self, outputs: Tensor) -> PixelDistribution:
        """outputs (N, out_channels, H, W), any float type; the distribution is computed in float32."""
        outputs, levels = outputs.float(), self.spec.num_levels
        channels = self.spec.shape[0]
        if self.kind == "bernoulli":
            return Bernoulli(outputs)
        if self.kind == "categorical":
            return Categorical(outputs.unflatten(1, (levels, channels)))
        # A scale below a tenth of a bin hardly changes the masses of bins; the floor keeps gradients finite.
        floor = math.log(0.2 / (levels - 1))
        if self.kind == "logistic":
            mean, log_scale = outputs.chunk(2, 1)
            return DiscretisedLogistic(mean, log_scale.clamp(floor, 7.0), levels)
        logits, mean, log_scale = outputs.unflatten(1, (3, self.num_mixtures, channels)).unbind(1)
        return DiscretisedLogisticMixture(logits, mean, log_scale.clamp(floor, 7.0), levels)
