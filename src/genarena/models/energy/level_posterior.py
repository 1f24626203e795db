"""The distribution of the levels of the data, given a noisy vector."""

import math

import torch
from torch import Tensor, nn

from genarena.likelihood import as_levels, to_unit


class LevelPosterior(nn.Module):
    """P(x | v) per dimension by Bayes' rule: likelihood v ~ N(x, sigma^2); prior: the histogram of all training levels."""

    def __init__(self, num_levels: int, sigma: float) -> None:
        super().__init__()
        self.num_levels, self.sigma = num_levels, sigma
        self.register_buffer("counts", torch.ones(num_levels, dtype=torch.int64))

    def observe(self, x: Tensor) -> None:
        """Count the levels of a training batch (N, *shape)."""
        self.counts += torch.bincount(x.flatten().long(), minlength=self.num_levels)

    def sample(self, v: Tensor) -> Tensor:
        """x ~ P(x | v), integer levels, the shape of v, by the inverse of the distribution function; floats with NaN where v is
        not finite."""
        parts = []
        for part in v.flatten().split(2**12):
            finite = torch.isfinite(part)
            below = self._logits(torch.where(finite, part, 0.0)).softmax(1).cumsum(1)
            place = torch.rand(len(part), 1, device=v.device) * below[:, -1:]
            drawn = torch.searchsorted(below, place, right=True)[:, 0].clamp_max(self.num_levels - 1)
            parts.append(torch.where(finite, drawn.float(), torch.nan))
        return as_levels(torch.cat(parts).view_as(v), self.num_levels)

    def _logits(self, v: Tensor) -> Tensor:
        """(N, levels) of v (N,)."""
        units = to_unit(torch.arange(self.num_levels, device=v.device), self.num_levels)
        return self.counts.float().log() - (v[:, None] - units).square() / (2.0 * self.sigma**2)

    def log_prob(self, x: Tensor, v: Tensor) -> Tensor:
        """Nats per dimension, same shape: softmax over levels of log count - (v - level)^2 / (2 sigma^2)."""
        log_counts, precision = self.counts.float().log(), 1.0 / (2.0 * self.sigma**2)
        units = to_unit(torch.arange(self.num_levels, device=v.device), self.num_levels)
        totals = [torch.logsumexp(self._logits(part), 1) for part in v.flatten().split(2**14)]
        chosen = log_counts[x.long()] - precision * (v - units[x.long()]).square()
        return chosen - torch.cat(totals).view_as(v)

    def log_weight(self, x: Tensor, v: Tensor) -> Tensor:
        """log P(x | v) - log N(v; x, sigma^2 I), (N,) nats."""
        distance = (v - to_unit(x, self.num_levels)) / self.sigma
        normal = -0.5 * distance.square() - math.log(self.sigma * math.sqrt(2.0 * math.pi))
        return (self.log_prob(x, v) - normal).flatten(1).sum(1)
