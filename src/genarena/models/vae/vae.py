"""Variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114).

Differs from the paper: residual convolutional networks, unless `perceptron` asks for its tanh units (an MLP for vectors);
Bernoulli or discretised-logistic pixels, KL warm-up over the first share of the budget, optional free bits (Kingma et al.
2016, arXiv 1606.04934, eq. 15) and KL weight beta (Higgins et al. 2017), and the importance-weighted bound of Burda et al.
2016 (arXiv 1509.00519) at evaluation only. With a condition, a vector of it is an input of the dense layers of encoder and
decoder. Rows with holes are learnt by the bound on what is observed of them (Mattei & Frellsen 2019, arXiv 1812.02633, eq. 2,
with one draw).
"""

from collections.abc import Sequence

from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class VAE(LatentVariableModel):
    """log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)),  q = N(mean, exp(log_var)),  p(z) = N(0, I).

    latent_dim, sampler: of `LatentVariableModel`.
    channels, blocks, hidden, patch, perceptron, strided: of the networks, as `ImageNetworks` says; vectors use `hidden` alone.
    pixels: kind of p(x|z), one of `genarena.distributions.KINDS`; vectors always have a Gaussian.
    beta: weight of the KL in the loss, reached linearly over the first `warmup` share of the training.
    free_bits: nats per latent dimension below which the loss does not reward a smaller KL (batch average).
    """

    paper = "1312.6114"
    mixed_precision = True
    takes_missing = True
    shardable = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dim: Count = 32,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: str = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        strided: bool = False,
        beta: NonNegative = 1.0,
        warmup: Share = 0.1,
        free_bits: NonNegative = 0.0,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        if latent_dim < 1 or hidden < 1:
            raise ValueError(f"latent_dim={latent_dim}, hidden={hidden}: both must be at least 1")
        if beta < 0.0 or free_bits < 0.0 or not 0.0 <= warmup <= 1.0:
            raise ValueError(f"beta={beta}, free_bits={free_bits}, warmup={warmup}: expected >= 0, >= 0 and 0 to 1")
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, strided)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.beta, self.ramp, self.free_bits = beta, warmup, free_bits
        self.bound_is_loss = beta == 1.0 and free_bits == 0.0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-E_q[log p(x|z)] + beta_t sum_j max(free_bits, KL_j), averaged over the batch, nats."""
        posterior = self.posterior(*batch)
        reconstruction = -self.log_likelihood(batch.x, posterior.sample(), batch.y).mean()
        kl = posterior.kl(self.prior(batch.y, len(batch.x))).mean(0)  # (latent_dim,)
        loss = reconstruction + self.beta * self.ramped * kl.clamp_min(self.free_bits).sum()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl.sum()}
