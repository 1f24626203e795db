"""Samplers: how samples are drawn from a trained model. No weight depends on them, so a finished run may take another one.

A sampler is a frozen dataclass, and a file of `conf/sampler` describes it. A model names the class of those that fit it in
`samplers` (`GenerativeModel`), and takes one as its argument `sampler`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from genarena.options import values
from genarena.options.values import NonNegative


@dataclass(frozen=True)
class Sampler:
    """Base of all samplers. Raises ValueError for an option of the wrong type or out of its range.

    guidance: s in u + s (c - u), of what the model predicts with the condition, c, and without, u: 0 is unconditional, 1
        conditional (Ho & Salimans 2022, arXiv 2207.12598, with s = 1 + w). Models that guide say what they predict.
    """

    guidance: NonNegative = field(default=1.0, kw_only=True)

    @property
    def predictions(self) -> int:
        """Predictions at each place: guidance needs two."""
        return 1 if self.guidance in (0.0, 1.0) else 2

    def __post_init__(self) -> None:
        values.check_fields(self, "sampler")


@dataclass(frozen=True)
class Temperature(Sampler):
    """Samples nearer to the modes (T < 1) or farther from them (T > 1) than those of the model, which T = 1 draws.

    temperature: T. A latent code is drawn from N(0, T^2 I) (flows, VAEs); a level from p^(1/T) / Z (autoregressive models).
    """

    temperature: NonNegative = 1.0

    def code(self, num_samples: int, latent_dim: int, device: torch.device) -> Tensor:
        """z ~ N(0, T^2 I), (num_samples, latent_dim)."""
        return self.temperature * torch.randn(num_samples, latent_dim, device=device)
