"""Mixture of Gaussians in one dimension: what an autoregressive head returns for continuous data.

Uria, Murray & Larochelle 2013 (RNADE, arXiv 1306.0186), eq. 7-8.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_LOG_SCALE = -7.0  # keeps a component from collapsing onto one example


@dataclass
class GaussianMixture:
    """K Gaussians per dimension; `logits`, `mean`, `log_scale` (N, K, D)."""

    logits: Tensor
    mean: Tensor
    log_scale: Tensor

    @classmethod
    def of(cls, outputs: Tensor) -> "GaussianMixture":
        """From the outputs (N, 3 K, D) of a network."""
        logits, mean, log_scale = outputs.float().chunk(3, 1)
        return cls(logits, mean, log_scale.clamp_min(MIN_LOG_SCALE))

    def log_prob(self, x: Tensor) -> Tensor:
        """x (N, D) to log-densities in nats, (N, D)."""
        standard = (x.unsqueeze(1) - self.mean) * torch.exp(-self.log_scale)
        components = -0.5 * (standard.square() + math.log(2.0 * math.pi)) - self.log_scale
        return torch.logsumexp(F.log_softmax(self.logits, 1) + components, 1)

    def draw(self) -> Tensor:
        """(N, D) floats; NaN where a parameter is not finite."""
        gumbel = -torch.empty_like(self.logits).exponential_().log()
        chosen = (self.logits + gumbel).argmax(1, keepdim=True)
        mean, log_scale = self.mean.gather(1, chosen).squeeze(1), self.log_scale.gather(1, chosen).squeeze(1)
        return mean + torch.exp(log_scale) * torch.randn_like(mean) + 0.0 * (self.logits + self.mean).sum(1)


@torch.no_grad()
def spread(bias: Tensor, num_mixtures: int, log_scale: float) -> None:
    """Set the bias (3 K D,) of a head of K components: their means are evenly spaced over [-1, 1], so that each gets data to
    learn from."""
    _, mean, log_scales = bias.view(3, num_mixtures, -1)
    mean.copy_(torch.linspace(-1.0, 1.0, num_mixtures)[:, None] if num_mixtures > 1 else torch.zeros(1, 1))
    log_scales.fill_(log_scale)
