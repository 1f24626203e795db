"""Variational autoencoder with a mixture of posteriors as its prior, VampPrior (Tomczak & Welling 2018, arXiv 1705.07120).

Differs from the paper: residual convolutional networks, unless `perceptron` and `gated` ask for its gated dense layers; one
vector of codes, not the two of its hierarchical model; a gradient that varies less; the pseudo-inputs start at training
examples and are kept in the range of the data, where the paper starts them at noise; log-variances are bounded by +-14;
posteriors may have a full covariance, as in the authors' work with a normal prior (Tomczak & Welling 2017, arXiv 1706.02326).
There is no p(x | y): the prior p(z | y) would be a mixture of q(z | u_k, y) of its own for every y, K passes through the
encoder for each text or attribute.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.likelihood import to_space
from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.full_normal import FullNormal, full_normal, num_below
from genarena.models.vae.latent_model import LatentModel, Mode
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, Share, Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class VampVAE(LatentModel):
    """log p(x) >= E_q[log p(x|z) + log p(z) - log q(z|x)],  p(z) = 1/K sum_k q(z|u_k) (eq. 9), with learnt pseudo-inputs u_k.

    num_pseudo_inputs: K. covariance: of q(z|x), by `full_normal` where it is full.
    gated: layers of `perceptron` are (W h + b) sigmoid(V h + c) instead of tanh.
    warmup: share of the training over which the KL's weight rises to 1. The other options are those of `VAE`.

    The KL has no closed form; it is estimated with the draw that is decoded. Its gradient leaves out the derivative of log q in
    the parameters of q, which is zero on average (Roeder, Wu & Duvenaud 2017, arXiv 1703.09194, eq. 8). A sampler's temperature
    multiplies the standard deviation within a component of the prior, which is drawn evenly.
    """

    paper = "1705.07120"
    mixed_precision = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_pseudo_inputs: Count = 100,
        covariance: Literal["diagonal", "full"] = "diagonal",
        latent_dim: Count = 32,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        gated: bool = False,
        warmup: Share = 0.1,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, gated=gated)
        more = num_below(latent_dim) if covariance == "full" else 0
        super().__init__(spec, training, networks_for(spec, latent_dim, images, more), latent_dim, sampler)
        self.covariance = covariance
        self.pseudo_inputs = nn.Parameter(torch.rand(num_pseudo_inputs, *spec.shape) * 2.0 - 1.0)
        self.register_buffer("started", torch.zeros((), dtype=torch.long))  # how many are at examples
        self.ramp = warmup

    def posterior_of(self, outputs: Tensor) -> Gaussian | FullNormal:
        return full_normal(outputs, self.latent_dim) if self.covariance == "full" else super().posterior_of(outputs)

    def observe(self, batch: Batch) -> None:
        """Before the first steps the pseudo-inputs are put at training examples, of all ranks."""
        first, last = int(self.started), len(self.pseudo_inputs)
        if first < last:
            examples = exchange.whole_batch(to_space(batch.x, self.spec))[: last - first]
            self.pseudo_inputs.data[first : first + len(examples)] = examples
            self.started += len(examples)

    def components(self) -> Gaussian | FullNormal:
        """q(z|u_k), (K, latent_dim)."""
        inputs = self.pseudo_inputs.clamp(-1.0, 1.0) if self.spec.is_discrete else self.pseudo_inputs
        return self.posterior_of(self.encoder(inputs, None))

    def log_prior(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        each = self.components().log_prob_of_each(z)  # (N, K)
        return torch.logsumexp(each, 1) - math.log(len(self.pseudo_inputs))

    def code(self, num: int, y: Tensor | None = None) -> Tensor:
        chosen = torch.randint(len(self.pseudo_inputs), (num,), device=self.device)
        return self.components().rows(chosen).at(self.sampler.code(num, self.latent_dim, self.device))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-log p(x|z) + w_t (log q(z|x) - log p(z)), averaged over the batch, nats."""
        posterior = self.posterior(*batch)
        z = posterior.sample()
        log_q = posterior.detached().log_prob(z).sum(1)
        reconstruction = -self.log_likelihood(batch.x, z).mean()
        kl = (log_q - self.log_prior(z)).mean()
        return {"loss": reconstruction + self.ramped * kl, "reconstruction": reconstruction, "kl": kl}
