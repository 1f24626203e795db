"""The base of models with one vector z of codes: p(z), q(z|x), p(x|z), the bounds on log p(x), and samples."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import Likelihood, Parts, log_mean_exp, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Weighs
from genarena.models.sampler import Sampler, Temperature
from genarena.models.splitting import Splits
from genarena.models.vae.aggregate_posterior import index_information
from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead
from genarena.models.vae.networks import Networks
from genarena.nets.conditioning import in_parts
from genarena.nets.layers import last_linear, recorded
from genarena.options.values import NonNegative
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


@dataclass(frozen=True)
class Mode(Sampler):
    """The mode of p(x|z) instead of a draw from it: smoother, but no sample of the model whose likelihood is reported.

    temperature: T of z ~ N(0, T^2 I).
    """

    temperature: NonNegative = 1.0

    def code(self, num_samples: int, latent_dim: int, device: torch.device) -> Tensor:
        """z (num_samples, latent_dim)."""
        return Temperature(self.temperature).code(num_samples, latent_dim, device)


class Posterior(Protocol):
    """q(z|x) of N examples: what this base needs of it. Models of normals use more."""

    def draw(self) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x) (N, D), differentiable in the parameters of q, and log q(z|x) (N,) nats."""

    def draws(self, size: int) -> tuple[Tensor, Tensor]:
        """z (size, N, D) and log q(z|x) (size, N) of so many draws."""

    def log_prob_of_each(self, z: Tensor) -> Tensor:
        """log q(z_m|x_n) of codes (M, D) under each of the N examples, (M, N) nats."""

    def centre(self) -> Tensor:
        """The code that stands for q(z|x), (N, D)."""


def parts_of(model: GenerativeModel, x: Tensor, y: Tensor | None) -> list[Batch]:
    """At most `model.max_rows` examples each; y is left out if it is no condition of the model, and refused if it is of other
    examples."""
    given = [part for _, part in in_parts(model.conditioning, len(x), model.max_rows, y)]
    return [Batch(*part) for part in zip(x.split(model.max_rows), given, strict=True)]


class LatentModel(GenerativeModel, Encodes, Decodes, Weighs, Splits):
    """p(x) = E_{z ~ p(z)} p(x|z), bounded through q(z|x); a subclass writes the loss and p(z), and q(z|x) where
    it is no diagonal normal.

    latent_dim: size D of z.
    bound_is_loss: whether the loss at the end of its ramp is the negative bound. If not, the loss, `objective` at a validation,
        chooses the weights: the best bound is that of another trade-off between reconstruction and KL.
    sampler: draws z, and says whether x is drawn from p(x|z) or its mode.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    samplers = Temperature | Mode
    bound_is_loss: bool = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None,
        networks: Networks,
        latent_dim: int,
        sampler: Temperature | Mode,
    ) -> None:
        super().__init__(spec, training)
        self.encoder, self.decoder, self.head, self.max_rows = networks
        self.latent_dim = latent_dim
        self.use(sampler)

    def posterior_of(self, outputs: Tensor) -> Posterior:
        """q(z|x) of the outputs (N, F) of the encoder: by default N(mean, exp(log_var)), both of them outputs."""
        return GaussianHead()(outputs)

    @abstractmethod
    def log_prior(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(z|y) of codes (N, latent_dim), (N,) nats."""

    @abstractmethod
    def code(self, num: int, y: Tensor | None = None) -> Tensor:
        """z ~ p(z|y) (num, latent_dim), by the sampler."""

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """q(z|x) of data (N, *shape)."""
        return self.posterior_of(self.encoded(x, y))

    def encoded(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The outputs of the encoder, (N, F), for data (N, *shape). With holes, NaN: of what is observed, from zeros in their
        place and the mask (Mattei & Frellsen 2019, arXiv 1812.02633, sec. 3.3)."""
        x = to_space(x, self.spec)
        if self.spec.missing:
            x = torch.cat([x.nan_to_num(), (~x.isnan()).float()], 1)
        return self.encoder(x, self.context(y, len(x)))

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) (N,) nats of data (N, *shape) and codes (N, latent_dim); with holes, of what is observed."""
        given = self.likelihood_of(z, y)
        if not self.spec.missing:
            return given.log_prob(x).flatten(1).sum(1)
        return (given.log_prob(x.nan_to_num()) * ~x.isnan()).sum(1)

    def likelihood_of(self, z: Tensor, y: Tensor | None = None) -> PixelDistribution | Gaussian:
        """p(x|z) of codes (N, latent_dim)."""
        return self.head(self.decoder(z, self.context(y, len(z))))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Importance-weighted bound (Burda et al. 2016, eq. 8), (N,) nats.

        num_samples=1 is the ELBO with one draw of z, and the analytic KL where there is one; both are lower bounds on log p(x)
        in expectation over the draws. At most `max_rows` codes are decoded at once, whatever N and num_samples are
        (under `torch.no_grad()`, where no graph is kept).
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be at least 1")
        if num_samples > 1:
            return log_mean_exp(self.log_weights(x, y, num_samples))
        return torch.cat([self.elbo(part) for part in parts_of(self, x, y)])

    def elbo(self, batch: Batch) -> Tensor:
        """log p(x|z) - KL for one draw z ~ q, (N,) nats; the KL in closed form where there is one, else of the draw."""
        distortion, rate, _ = self._parts(batch)
        return -distortion - rate.sum(1)

    def parts(self, x: Tensor, y: Tensor | None = None) -> Parts:
        return Parts(
            *(torch.cat(part) for part in zip(*map(self._parts, parts_of(self, x, y)), strict=True)), (self.latent_dim,)
        )

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Distortion, rate and shift."""
        posterior = self.posterior(*batch)
        z, log_q = posterior.draw()
        rate = (log_q - self.log_prior(z, batch.y))[:, None]
        return -self.log_likelihood(batch.x, z, batch.y), rate, posterior.centre()

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        posterior = self.posterior_of(torch.cat([self.encoded(*part) for part in parts_of(self, x, y)]))
        z, log_own = posterior.draw()
        return index_information(z, log_own, posterior.log_prob_of_each)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = super().validate(batch)
        return terms if self.bound_is_loss else terms | {"objective": terms["loss"]}

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound" if num_samples == 1 else "importance-weighted bound"
        return {"method": method, "importance_samples": num_samples}

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for z ~ q(z|x); (num_samples, N) nats, at most `max_rows` codes decoded at once."""
        return torch.cat([self._chunked(part, num_samples) for part in parts_of(self, x, y)], 1)

    def _chunked(self, batch: Batch, num_samples: int) -> Tensor:
        posterior, at_once = self.posterior(*batch), max(1, self.max_rows // len(batch.x))
        chunks = [min(at_once, num_samples - first) for first in range(0, num_samples, at_once)]
        return torch.cat([self._log_weights(batch, posterior, size) for size in chunks])

    def _log_weights(self, batch: Batch, posterior: Posterior, size: int) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for `size` draws of z ~ q(z|x) per example; (size, N) nats."""
        return self.log_weights_of(batch, *posterior.draws(size))

    def log_weights_of(self, batch: Batch, z: Tensor, log_q: Tensor) -> Tensor:
        """log p(x|z) p(z) / q(z|x) of codes z (k, N, latent_dim) with log q(z|x) (k, N); (k, N) nats."""
        size, codes = len(z), z.flatten(0, 1)
        x, y = (None if part is None else part.expand(size, *part.shape).flatten(0, 1) for part in batch)
        return (self.log_likelihood(x, codes, y) + self.log_prior(codes, y)).view(size, -1) - log_q

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x of codes z ~ p(z|y), at the temperature of the sampler."""
        return self.render(self.code(num_samples, y), y)

    def render(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) of codes (N, latent_dim), or its mode if the sampler is `Mode`."""
        parts = [self.likelihood_of(*part) for part in parts_of(self, z, y)]
        modes = isinstance(self.sampler, Mode)
        return torch.cat([part.mode() if modes else part.sample() for part in parts])

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of q(z|x), (N, latent_dim): for a normal its mean."""
        return self.posterior(x, y).centre()

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`encoder`: the last hidden layer of q(z|x). `code`: that of `encode`."""
        hidden = {"encoder": last_linear(self.encoder)}
        return recorded(lambda: self.encoded(x, y), inputs=hidden) | super().features(x, y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mode of p(x|z): levels (N, C, H, W), or the Gaussian's mean (N, D)."""
        return self.likelihood_of(z, y).mode()
