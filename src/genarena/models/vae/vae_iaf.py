"""Variational autoencoder with an inverse autoregressive posterior (Kingma et al. 2016, arXiv 1606.04934).

Differs from the paper: one vector of codes, as its MNIST model has, and no bidirectional hierarchy of maps, so that the flow is
the only change from `vae`; its networks, warm-up and free bits are those of `vae` (no weight normalisation), free bits for the
whole code.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import GaussianHead
from genarena.models.vae.inverse_autoregressive import FlowPosterior, InverseAutoregressiveFlow
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.models.vae.normal_prior import NormalPrior
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class VAEIAF(NormalPrior):
    """log p(x) >= E_q[log p(x|z) + log p(z) - log q(z|x)],  q the flow of `inverse_autoregressive`,  p(z) = N(0, I).

    num_steps: T. flow_hidden: widths of the masked layers of each step. context_dim: size of h, further outputs of the encoder.
    free_bits: nats of the whole code below which the loss does not reward a smaller KL (batch average).
    warmup: share of the training over which the KL's weight rises to 1. The other options are those of `VAE`.

    The KL has no closed form; it is estimated with the draw that is decoded. `encode` is where the flow takes the mean of z^0.
    Raises ValueError for fewer than two latent dimensions.
    """

    paper = "1606.04934"
    mixed_precision = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_steps: Count = 2,
        flow_hidden: Sequence[Count] = (128,),
        context_dim: Count = 64,
        latent_dim: Count = 32,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        warmup: Share = 0.1,
        free_bits: NonNegative = 0.0,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        if latent_dim < 2:
            raise ValueError(f"latent_dim={latent_dim}: an autoregressive posterior needs at least 2 dimensions")
        if not flow_hidden or min(flow_hidden) < 1:
            raise ValueError(f"flow_hidden={list(flow_hidden)}: expected at least one layer, of at least 1 unit each")
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron)
        super().__init__(spec, training, networks_for(spec, latent_dim, images, context_dim), latent_dim, sampler)
        self.flow = InverseAutoregressiveFlow(latent_dim, num_steps, flow_hidden, context_dim)
        self.ramp, self.free_bits = warmup, free_bits
        self.bound_is_loss = free_bits == 0.0

    def posterior_of(self, outputs: Tensor) -> FlowPosterior:
        start, h = outputs.tensor_split([2 * self.latent_dim], 1)
        return FlowPosterior(GaussianHead()(start), h.float(), self.flow)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-log p(x|z) + w_t max(free_bits, log q(z|x) - log p(z)), averaged over the batch, nats."""
        z, log_q = self.posterior(*batch).draw()
        reconstruction = -self.log_likelihood(batch.x, z, batch.y).mean()
        kl = (log_q - self.log_prior(z, batch.y)).mean()
        loss = reconstruction + self.ramped * (kl.clamp_min(self.free_bits) if self.free_bits else kl)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}
