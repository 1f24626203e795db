"""The base of the latent-variable models of this family: q(z|x), p(x|z), the bounds on log p(x), and samples."""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import Likelihood, log_mean_exp, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Infers, Weighs
from genarena.models.sampler import Sampler, Temperature
from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead
from genarena.models.vae.networks import Networks
from genarena.nets.conditioning import linear, num_features
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


class LatentVariableModel(GenerativeModel, Encodes, Decodes, Infers, Weighs):
    """p(x) = E_{z ~ N(0, I)} p(x|z), bounded through q(z|x) = N(mean, exp(log_var)); a subclass writes the loss.

    With a condition: p(x|y) = E_{z ~ p(z|y)} p(x|z, y) and q(z|x, y) (Sohn, Lee & Yan 2015, eq. 4). p(z|y) is a diagonal normal
    per condition, N(0, I) at the start. A decoder alone would learn y late: it saves a few of many hundred nats.

    latent_dim: size D of z.
    bound_is_loss: whether the loss at the end of its ramp is the negative bound. If not, the loss, `objective` at a validation,
        chooses the weights: the best bound is that of another trade-off between reconstruction and KL.
    sampler: draws z, and says whether x is drawn from p(x|z) or its mode.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    conditional = True
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
        self.prior_head = linear(num_features(spec.condition), 2 * latent_dim)
        self.use(sampler)

    def prior(self, y: Tensor | None, num: int) -> Gaussian:
        """p(z|y) of `num` conditions, (num, latent_dim); N(0, I) of an unconditional model."""
        if self.prior_head is None:
            zeros = torch.zeros(num, self.latent_dim, device=self.device)
            return Gaussian(zeros, zeros)
        return GaussianHead()(self.prior_head(self.context(y, num)))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Gaussian:
        """q(z|x) of data (N, *shape). With holes, NaN: q(z|observed), from zeros in their place and the mask (Mattei &
        Frellsen 2019, arXiv 1812.02633, sec. 3.3)."""
        x = to_space(x, self.spec)
        if self.spec.missing:
            x = torch.cat([x.nan_to_num(), (~x.isnan()).float()], 1)
        return GaussianHead()(self.encoder(x, self.context(y, len(x))))

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

        num_samples=1 is the ELBO with the analytic KL and one draw of z; both are lower bounds on log p(x) in
        expectation over the draws. At most `max_rows` codes are decoded at once, whatever N and num_samples are
        (under `torch.no_grad()`, where no graph is kept).
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be at least 1")
        return torch.cat([self._bound(part, num_samples) for part in self._parts(x, y)])

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = super().validate(batch)
        return terms if self.bound_is_loss else terms | {"objective": terms["loss"]}

    def _parts(self, x: Tensor, y: Tensor | None) -> list[Batch]:
        """At most `max_rows` examples each; y is left out if it is no condition of this model."""
        given = y.split(self.max_rows) if self.conditioning and y is not None else itertools.repeat(None)
        return [Batch(*part) for part in zip(x.split(self.max_rows), given, strict=False)]

    def _bound(self, batch: Batch, num_samples: int) -> Tensor:
        x, y = batch
        posterior = self.posterior(x, y)
        if num_samples == 1:
            return self.log_likelihood(x, posterior.sample(), y) - posterior.kl(self.prior(y, len(x))).sum(1)
        return log_mean_exp(self._chunked_log_weights(batch, posterior, num_samples))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound, analytic KL" if num_samples == 1 else "importance-weighted bound"
        return {"method": method, "importance_samples": num_samples}

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for z ~ q(z|x); (num_samples, N) nats, at most `max_rows` codes decoded at once."""
        parts = [self._chunked_log_weights(part, self.posterior(*part), num_samples) for part in self._parts(x, y)]
        return torch.cat(parts, 1)

    def _chunked_log_weights(self, batch: Batch, posterior: Gaussian, num_samples: int) -> Tensor:
        at_once = max(1, self.max_rows // len(batch.x))
        chunks = [min(at_once, num_samples - first) for first in range(0, num_samples, at_once)]
        return torch.cat([self._log_weights(batch, posterior, size) for size in chunks])

    def _log_weights(self, batch: Batch, posterior: Gaussian, size: int) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for `size` draws of z ~ q(z|x) per example; (size, N) nats."""
        z = torch.stack([posterior.sample() for _ in range(size)])  # one by one: the same noise for any chunk size
        return self.log_weights_of(batch, z, posterior)

    def log_weights_of(self, batch: Batch, z: Tensor, posterior: Gaussian) -> Tensor:
        """log p(x|z) p(z) / q(z|x) of codes z (k, N, latent_dim), `posterior` q; (k, N) nats."""
        size, prior = len(z), self.prior(batch.y, len(batch.x))
        x, y = (None if part is None else part.expand(size, *part.shape).flatten(0, 1) for part in batch)
        return self.log_likelihood(x, z.flatten(0, 1), y).view(size, -1) + (
            prior.log_prob(z) - posterior.log_prob(z)
        ).sum(2)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x of codes z ~ p(z|y), whose standard deviation is multiplied by the temperature T of the sampler."""
        prior, noise = self.prior(y, num_samples), self.sampler.code(num_samples, self.latent_dim, self.device)
        return self.render(prior.mean + torch.exp(0.5 * prior.log_var) * noise, y)

    def render(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) of codes (N, latent_dim), or its mode if the sampler is `Mode`."""
        parts = [self.likelihood_of(*part) for part in self._parts(z, y)]
        modes = isinstance(self.sampler, Mode)
        return torch.cat([part.mode() if modes else part.sample() for part in parts])

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The posterior mean (N, latent_dim)."""
        return self.posterior(x, y).mean

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`encoder`: the last hidden layer of q(z|x). `code`: the posterior mean."""
        hidden = {"encoder": last_linear(self.encoder)}
        return recorded(lambda: self.posterior(x, y), inputs=hidden) | super().features(x, y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mode of p(x|z): levels (N, C, H, W), or the Gaussian's mean (N, D)."""
        return self.likelihood_of(z, y).mode()
