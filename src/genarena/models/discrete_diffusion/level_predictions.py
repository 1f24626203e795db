"""What a network says of the levels x_0 of each dimension: a discretised logistic, or any masses."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.distributions import discretised_logistic_log_prob
from genarena.likelihood import to_unit


class LevelPrediction(ABC):
    """Independent distributions of levels for (N, D) dimensions."""

    @abstractmethod
    def probs(self) -> Tensor:
        """The probability of each of L levels, (N, D, L) float32."""

    @abstractmethod
    def log_prob(self, x_0: Tensor) -> Tensor:
        """Log-probability (N, D), in nats, of levels x_0 (N, D)."""


@dataclass
class AnyLevels(LevelPrediction):
    """logits (N, D, L)."""

    logits: Tensor

    def probs(self) -> Tensor:
        return self.logits.softmax(-1)

    def log_prob(self, x_0: Tensor) -> Tensor:
        return -F.cross_entropy(self.logits.mT, x_0, reduction="none")


@dataclass
class Logistic(LevelPrediction):
    """One logistic per dimension, integrated over the bins of levels; mean and log_scale (N, D) in units of [-1, 1]."""

    mean: Tensor
    log_scale: Tensor
    num_levels: int

    def probs(self) -> Tensor:
        edges = torch.arange(1, self.num_levels, device=self.mean.device, dtype=torch.float32) * 2.0 - 1.0
        edges = edges / (self.num_levels - 1) - 1.0  # between neighbouring levels; the outer bins are open
        below = torch.sigmoid((edges - self.mean[..., None]) * torch.exp(-self.log_scale)[..., None])
        return F.pad(F.pad(below, (0, 1), value=1.0), (1, 0)).diff(dim=-1).clamp_min(0.0)

    def log_prob(self, x_0: Tensor) -> Tensor:
        unit = to_unit(x_0, self.num_levels)
        return discretised_logistic_log_prob(unit, self.mean, self.log_scale, self.num_levels)
