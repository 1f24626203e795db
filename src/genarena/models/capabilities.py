"""Capabilities: what a model can do beyond the contract of `base.py`. A model inherits from the classes that apply to it.

y is the condition of each example, None for an unconditional model.

Space: what is continuous (gradients, noise, posterior means, densities) lives in one space for all models, that of
`likelihood.to_space`: integer levels are evenly spaced in [-1, 1], continuous data has its own units.
"""

import math
from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import as_levels
from genarena.models.keeping import Choose, Select, keeping
from genarena.spec import DataSpec


class Represents(ABC):
    """Codes by layer, for what is learned on top of them."""

    @abstractmethod
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Name of a layer to vectors (N, F), float32, of examples x (N, *shape): at least one layer, in the order of the
        network. In eval mode they are fixed, and no row depends on another. y=None: no condition."""


class Encodes(Represents):
    """A code per example: a vector or a map. It is one of the features."""

    @abstractmethod
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Data (N, *shape) to latent codes: vectors (N, latent_dim), or maps (N, C, h, w)."""

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        return {"code": self.encode(x, y).flatten(1).float()}


class Decodes(ABC):
    """Data from codes."""

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Latent codes, as `encode` gives them, to data (N, *shape), the most likely or mean image."""


class Withholds(ABC):
    """A reference that is given the validation split, from which no model may learn."""

    @abstractmethod
    def withhold(self, x: Tensor) -> None:
        """Validation examples (N, *shape), before training."""


class Enumerates(ABC):
    """Finitely many different samples, `size` of them: `sample(size)` has each once, and an evaluation asks for no more."""

    @property
    @abstractmethod
    def size(self) -> int: ...


class Denoises(ABC):
    """x_t = a(t) x_0 + s(t) eps for t in [0, 1], 0 = data, in the space of `likelihood.to_space`."""

    @abstractmethod
    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t] (N, *shape) at times t (N,): not clamped, differentiable in x_t.

        The score is grad log p_t(x_t) = (a E[x_0 | x_t] - x_t) / s^2 (Tweedie's formula).
        """

    @abstractmethod
    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s (N,) at times t (N,)."""


class Correlates(ABC):
    """The model is a Gaussian, which its mean and its covariance determine."""

    @abstractmethod
    def moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D), or its diagonal (D,), float64, given y (1, ...): of floats, or levels in [-1, 1]."""


class Differentiates(ABC):
    """A density, with its gradient, of u = x + noise N(0, I), continuous data x; most models have no such noise."""

    noise: float = 0.0

    @abstractmethod
    def log_density(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(u) (N,) nats up to a constant, differentiable in u (N, *shape), of the space of `likelihood.to_space`.

        -inf where the density is zero, with a gradient of zero.
        """


class Discriminates(ABC):
    """A critic, trained to be larger on data than on samples of the model."""

    @abstractmethod
    def discriminate(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """f(x) (N,), differentiable in x (N, *shape), of the space of `likelihood.to_space`.

        The optimum depends on the loss: log p_data(x) - log p_model(x) for the log loss (Goodfellow et al. 2014, arXiv
        1406.2661, proposition 1), a potential up to a constant for Wasserstein's distance.
        """


class Factorises(ABC):
    """p(x) = prod_i p(x_i | x_1, ..., x_{i-1}), dimension by dimension in an order that the model chooses.

    factorises: whether this instance does. A mixture of such models is no single product.
    """

    spec: DataSpec

    @property
    def factorises(self) -> bool:
        return True

    @abstractmethod
    def order(self) -> Tensor:
        """Indices (D,) into `x.flatten(1)`, first the dimension that depends on no other. Raises ValueError if not
        `factorises`."""

    @torch.no_grad()
    def traverse(
        self,
        num_images: int,
        choose: Choose,
        y: Tensor | None = None,
        keep: Tensor | None = None,
        select: Select | None = None,
    ) -> Tensor:
        """Examples (num_images, *shape), of type `spec.dtype`, whose values `choose` gives.

        The distributions depend on the values chosen so far only, and are reproduced bit for bit.
        keep: (num_images, *shape) floats, values that stay as they are; NaN where `choose` decides. A value is drawn given
            those before it in `order`, so the result follows p(others | kept) exactly if no kept one comes after a free one.
        select: replaces the pasts of lanes on the way, as particle filters do.
        Raises ValueError for another shape of `keep`, and if not `factorises`.
        """
        if keep is not None and keep.shape != (num_images, *self.spec.shape):
            raise ValueError(f"keep has shape {tuple(keep.shape)}: expected {(num_images, *self.spec.shape)}")
        x = self.unroll(num_images, choose if keep is None else keeping(choose, keep), y, select)
        return as_levels(x, self.spec.num_levels) if self.spec.is_discrete else x

    @abstractmethod
    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None, select: Select | None = None) -> Tensor:
        """(num_images, *shape): the values that `choose` gives, of its type, dimension after dimension; see `traverse`."""


class DiagonalNormal(Protocol):
    mean: Tensor  # (N, latent_dim)
    log_var: Tensor  # (N, latent_dim)


class Infers(ABC):
    """log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)); q(z|x) and p(x|z) are available.

    p(z) = N(0, I); given a condition it is p(z|y), a normal distribution that the model learns.
    """

    latent_dim: int

    @abstractmethod
    def prior(self, y: Tensor | None, num: int) -> DiagonalNormal:
        """p(z|y) of `num` conditions, N(0, I) without."""

    @abstractmethod
    def posterior(self, x: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """q(z|x) of data (N, *shape)."""

    @abstractmethod
    def likelihood_of(self, z: Tensor, y: Tensor | None = None) -> PixelDistribution | DiagonalNormal:
        """p(x|z) of codes (N, latent_dim)."""

    def render(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) of codes (N, latent_dim): data (N, *shape)."""
        return self.likelihood_of(z, y).sample()


class Quantises(ABC):
    """log p(x) >= log p(x|e(x)) + log p(e(x)), where e(x) are discrete codes, `num_codes` kinds on a grid (h, w)."""

    num_codes: int
    code_size: tuple[int, int]

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """e(x) (N, h, w) int64 of data (N, *shape)."""

    @abstractmethod
    def likelihood_of_codes(self, codes: Tensor) -> PixelDistribution:
        """p(x|codes) of codes (N, h, w) int64."""


class Weighs(ABC):
    """Importance weights, whose mean estimates p(x). draws_matter: whether more draws show in bits per dimension."""

    draws_matter: bool = True

    @abstractmethod
    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x, z) - log q(z | x) for draws z ~ q, a code or the noise of dequantisation; (num_samples, N) nats. The log of
        the mean of k weights is a lower bound on log p(x) in expectation, the tighter the larger k is (Burda et al. 2016,
        arXiv 1509.00519, theorem 1). num_samples * N examples may be in memory at once."""


class Integrates(ABC):
    """A likelihood by an ordinary differential equation.

    dequantisations: kinds of noise on integer levels that `ode_log_prob` knows; every model knows "uniform".
    """

    dequantisations: tuple[str, ...] = ("uniform",)

    @abstractmethod
    def ode_log_prob(
        self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str, y: Tensor | None = None
    ) -> tuple[Tensor, dict]:
        """log p(x), (N,) nats, through an ordinary differential equation that maps p to a known density; and the facts of
        its solution (solver, tolerance, evaluations), JSON-able."""


class Emits(ABC):
    """A deterministic decoder: x = emit(z), z ~ N(0, I) of `latent_dim` dimensions.

    bijective: whether every x comes from one z, so that x has a density without observation noise.
    """

    latent_dim: int

    @property
    def bijective(self) -> bool:
        return False

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z; 0, I) (N,) nats of codes (N, latent_dim)."""
        return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)

    @abstractmethod
    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, latent_dim) to (N, *shape), differentiable, not rounded, in the space of `likelihood.to_space`."""
