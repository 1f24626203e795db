"""Variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114).

Differs from the paper: residual convolutional networks (an MLP for vectors), Bernoulli or discretised-logistic pixels,
KL warm-up over the first share of the budget, optional free bits (Kingma et al. 2016, arXiv 1606.04934, eq. 15) and KL
weight beta (Higgins et al. 2017), and the importance-weighted bound of Burda et al. 2016 (arXiv 1509.00519) at
evaluation only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genarena.distributions import PixelDistribution, PixelHead
from genarena.likelihood import Likelihood, log_mean_exp, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Infers, Weighs
from genarena.nets.resnet import ConvDecoder, ConvEncoder, ConvPyramid, initialise
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

MAX_ROWS, MAX_OUTPUTS = 1024, 2**24  # decoder rows, and decoder outputs, held at once when bounding or sampling


@dataclass
class Gaussian:
    """Diagonal normal; `mean` and `log_var` (N, D). The posterior of images and vectors, the likelihood of vectors."""

    mean: Tensor
    log_var: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Nats per dimension (N, D)."""
        return -0.5 * ((x - self.mean) ** 2 * torch.exp(-self.log_var) + self.log_var + math.log(2.0 * math.pi))

    def sample(self) -> Tensor:
        """Differentiable in the parameters (the reparameterisation of Kingma & Welling, sec. 2.4)."""
        return self.mean + torch.exp(0.5 * self.log_var) * torch.randn_like(self.mean)

    def mode(self) -> Tensor:
        return self.mean

    def kl(self) -> Tensor:
        """KL( self || N(0, I) ), nats per dimension (N, D); Kingma & Welling, appendix B."""
        return 0.5 * (self.mean**2 + torch.exp(self.log_var) - 1.0 - self.log_var)


class GaussianHead:
    """Turns network outputs (N, 2 D) into a `Gaussian`, computed in float32."""

    def __call__(self, outputs: Tensor) -> Gaussian:
        mean, log_var = outputs.float().chunk(2, 1)
        return Gaussian(mean, log_var.clamp(-14.0, 14.0))  # a guard far outside what is learnt


class VAE(GenerativeModel, Encodes, Decodes, Infers, Weighs):
    """log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)),  q = N(mean, exp(log_var)),  p(z) = N(0, I).

    latent_dim: size D of z.
    channels, blocks, hidden, patch: finest width, residual blocks per level (coarsest first), dense width and pixels
        per side of a position of the finest level, of `nets/resnet.py`; vectors use `hidden` alone.
    pixels: kind of p(x|z), one of `genarena.distributions.KINDS`; vectors always have a Gaussian.
    beta: weight of the KL in the loss, reached linearly over the first `warmup` share of the budget.
    free_bits: nats per latent dimension below which the loss does not reward a smaller KL (batch average).
    sample_pixels: True draws x ~ p(x|z), a sample of the model; False shows the mode of p(x|z), which is smoother and
        not what the likelihood speaks about.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    paper = "1312.6114"
    mixed_precision = True
    shardable = True
    selection = "val/bits_per_dim"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dim: int = 32,
        channels: int = 32,
        blocks: Sequence[int] = (0,),
        hidden: int = 256,
        patch: int | None = None,
        pixels: str = "auto",
        num_mixtures: int = 5,
        beta: float = 1.0,
        warmup: float = 0.1,
        free_bits: float = 0.0,
        sample_pixels: bool = True,
    ) -> None:
        super().__init__(spec, training)
        if latent_dim < 1 or hidden < 1:
            raise ValueError(f"latent_dim={latent_dim}, hidden={hidden}: both must be at least 1")
        if beta < 0.0 or free_bits < 0.0 or not 0.0 <= warmup <= 1.0:
            raise ValueError(f"beta={beta}, free_bits={free_bits}, warmup={warmup}: expected >= 0, >= 0 and 0 to 1")
        self.latent_dim, self.beta, self.warmup = latent_dim, beta, warmup
        self.free_bits, self.sample_pixels = free_bits, sample_pixels
        if spec.is_image:
            if patch is None:  # binary pixels need no fine decoder, and coarse ones are twice as fast
                patch = 4 if spec.num_levels == 2 else 2
            self._build_image_networks(channels, blocks, hidden, patch, PixelHead(pixels, spec, num_mixtures))
        else:
            self._build_vector_networks(hidden)

    def _build_image_networks(
        self, channels: int, blocks: Sequence[int], hidden: int, patch: int, head: PixelHead
    ) -> None:
        self.spec.require_image("vae")
        in_channels, height, width = self.spec.shape
        plan = ConvPyramid(height, width, channels, blocks, patch)
        self.encoder = ConvEncoder(in_channels, 2 * self.latent_dim, plan, hidden)
        self.decoder = ConvDecoder(self.latent_dim, head.out_channels, plan, hidden)
        self.head = head
        self.max_rows = max(1, min(MAX_ROWS, MAX_OUTPUTS // (head.out_channels * height * width)))

    def _build_vector_networks(self, hidden: int) -> None:
        if self.spec.is_discrete:
            raise ValueError(
                f"vae models images or continuous vectors, and this data set has shape {self.spec.shape} "
                f"with num_levels={self.spec.num_levels}"
            )
        self.encoder = _mlp(self.spec.num_dims, hidden, 2 * self.latent_dim)
        self.decoder = _mlp(self.latent_dim, hidden, 2 * self.spec.num_dims)
        self.head, self.max_rows = GaussianHead(), 16 * MAX_ROWS

    def posterior(self, x: Tensor) -> Gaussian:
        """q(z|x) of data (N, *shape)."""
        return GaussianHead()(self.encoder(to_unit(x, self.spec.num_levels) if self.spec.is_discrete else x.float()))

    def likelihood_of(self, z: Tensor) -> PixelDistribution | Gaussian:
        """p(x|z) of codes (N, latent_dim)."""
        return self.head(self.decoder(z))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-E_q[log p(x|z)] + beta_t sum_j max(free_bits, KL_j), averaged over the batch, nats."""
        posterior = self.posterior(batch.x)
        reconstruction = -self.likelihood_of(posterior.sample()).log_prob(batch.x).flatten(1).sum(1).mean()
        kl = posterior.kl().mean(0)  # (latent_dim,)
        beta = self.beta * (min(1.0, self.progress / self.warmup) if self.warmup else 1.0)
        loss = reconstruction + beta * kl.clamp_min(self.free_bits).sum()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl.sum()}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Importance-weighted bound (Burda et al. 2016, eq. 8), (N,) nats; `y` is not used.

        num_samples=1 is the ELBO with the analytic KL and one draw of z; both are lower bounds on log p(x) in
        expectation over the draws. At most `max_rows` codes are decoded at once, whatever N and num_samples are
        (under `torch.no_grad()`, where no graph is kept).
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be at least 1")
        return torch.cat([self._bound(part, num_samples) for part in x.split(self.max_rows)])

    def _bound(self, x: Tensor, num_samples: int) -> Tensor:
        posterior = self.posterior(x)
        if num_samples == 1:
            log_likelihood = self.likelihood_of(posterior.sample()).log_prob(x).flatten(1).sum(1)
            return log_likelihood - posterior.kl().sum(1)
        return log_mean_exp(self._chunked_log_weights(x, posterior, num_samples))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound, analytic KL" if num_samples == 1 else "importance-weighted bound"
        return {"method": method, "importance_samples": num_samples}

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for z ~ q(z|x); (num_samples, N) nats, at most `max_rows` codes decoded at once."""
        parts = [self._chunked_log_weights(part, self.posterior(part), num_samples) for part in x.split(self.max_rows)]
        return torch.cat(parts, 1)

    def _chunked_log_weights(self, x: Tensor, posterior: Gaussian, num_samples: int) -> Tensor:
        at_once = max(1, self.max_rows // len(x))
        chunks = [min(at_once, num_samples - first) for first in range(0, num_samples, at_once)]
        return torch.cat([self._log_weights(x, posterior, size) for size in chunks])

    def _log_weights(self, x: Tensor, posterior: Gaussian, size: int) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for `size` draws of z ~ q(z|x) per example; (size, N) nats."""
        z = torch.stack([posterior.sample() for _ in range(size)])  # draw by draw: the chunks do not change the noise
        prior = Gaussian(torch.zeros_like(z), torch.zeros_like(z))
        repeated = x.expand(size, *x.shape).flatten(0, 1)
        log_likelihood = self.likelihood_of(z.flatten(0, 1)).log_prob(repeated).flatten(1).sum(1)
        return log_likelihood.view(size, -1) + (prior.log_prob(z) - posterior.log_prob(z)).sum(2)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) for z ~ p(z), or its mode where `sample_pixels` is off; `y` is not used."""
        z = torch.randn(num_samples, self.latent_dim, device=self.device)
        parts = [self.likelihood_of(part) for part in z.split(self.max_rows)]
        return torch.cat([part.sample() if self.sample_pixels else part.mode() for part in parts])

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean (N, latent_dim)."""
        return self.posterior(x).mean

    def decode(self, z: Tensor) -> Tensor:
        """The mode of p(x|z): uint8 (N, C, H, W), or the Gaussian's mean (N, D)."""
        return self.likelihood_of(z).mode()


def _mlp(in_features: int, hidden: int, out_features: int) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(in_features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, out_features)
    )
    initialise(network)
    return network
