"""Capabilities: what a model can do beyond the contract of `base.py`. A model inherits those it has; nothing else is asked."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor

from genarena.distributions import PixelDistribution


class Encodes(ABC):
    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Data (N, *shape) to latent codes (N, latent_dim)."""


class Decodes(ABC):
    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Latent codes (N, latent_dim) to data (N, *shape), the most likely or mean image."""


class Withholds(ABC):
    """A reference that is shown the validation split, which no model may learn from."""

    @abstractmethod
    def withhold(self, x: Tensor) -> None:
        """Validation examples (N, *shape), before training."""


class Scores(ABC):
    @abstractmethod
    def score(self, x_t: Tensor, t: Tensor) -> Tensor:
        """grad_x log p_t(x_t) for noise level t (N,) in [0, 1]; (N, *shape), in the model's own scaled space."""


class Choose(Protocol):
    def __call__(self, distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        """Levels (N,), uint8, of one dimension, given its distribution (N, 1, 1, 1) under the dimensions before it."""


class Factorises(ABC):
    """p(x) = prod_i p(x_i | x_1, ..., x_{i-1}), dimension by dimension in an order that the model chooses.

    factorises: whether this instance does; a mixture of such models has no one such product.
    """

    factorises = True

    @abstractmethod
    def traverse(self, num_images: int, choose: Choose) -> Tensor:
        """Images (num_images, C, H, W), uint8, whose levels `choose` gives; the same levels give the same bits again."""


class DiagonalNormal(Protocol):
    mean: Tensor  # (N, latent_dim)
    log_var: Tensor  # (N, latent_dim)


class Infers(ABC):
    """log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)) with p(z) = N(0, I); both distributions can be had."""

    latent_dim: int

    @abstractmethod
    def posterior(self, x: Tensor) -> DiagonalNormal:
        """q(z|x) of data (N, *shape)."""

    @abstractmethod
    def likelihood_of(self, z: Tensor) -> PixelDistribution | DiagonalNormal:
        """p(x|z) of codes (N, latent_dim)."""


class Weighs(ABC):
    @abstractmethod
    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x, z) - log q(z | x) for draws z ~ q, a latent code or the noise of dequantisation; (num_samples, N) nats.

        The log of the mean of k weights is a lower bound on log p(x) in expectation, the tighter the larger k is (Burda et
        al. 2016, arXiv 1509.00519, theorem 1). num_samples * N examples may be in memory at once.
        """


class Integrates(ABC):
    @abstractmethod
    def ode_log_prob(self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str) -> tuple[Tensor, dict]:
        """(N,) nats of the density that an ordinary differential equation carries to a known one, and how it was solved."""


class Emits(ABC):
    """A decoder alone: x = emit(z) + observation noise, z ~ N(0, I) of `latent_dim` dimensions."""

    latent_dim: int

    @abstractmethod
    def emit(self, z: Tensor) -> Tensor:
        """(N, latent_dim) to (N, *shape), differentiable and before any rounding: [-1, 1] for levels, else as the data."""
