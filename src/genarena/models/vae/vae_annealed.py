"""Variational autoencoder with a controlled capacity of its code (Burgess et al. 2018, arXiv 1804.03599).

Differs from the paper: the networks are those of `vae`, unless `strided` asks for the paper's; C grows over the first `warmup`
share of the budget, and stays, instead of growing over a number of steps; the evaluated weights minimise the final objective
on validation.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class VAEAnnealed(LatentVariableModel):
    """min -E_q(z|x)[log p(x|z)] + gamma |KL(q(z|x) || p(z)) - C|  (eq. 8), with KL the mean over the batch.

    gamma: weight of the distance between KL and C, in the paper 1000.
    capacity: C at the end of its growth, nats; it grows linearly from 0 over the first `warmup` share of the training.
    latent_dim, sampler: of `LatentVariableModel`. The other options are those of `VAE`.

    The loss is no bound; `log_prob` is the ELBO.
    """

    paper = "1804.03599"
    mixed_precision = True
    shardable = True
    bound_is_loss = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dim: Count = 10,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        strided: bool = False,
        gamma: NonNegative = 100.0,
        capacity: NonNegative = 25.0,
        warmup: Share = 0.5,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, strided)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.gamma, self.capacity, self.ramp = gamma, capacity, warmup

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nats; `penalty` is gamma |KL - C_t|."""
        posterior = self.posterior(*batch)
        reconstruction = -self.log_likelihood(batch.x, posterior.sample(), batch.y).mean()
        kl = posterior.kl(self.prior(batch.y, len(batch.x))).sum(1).mean()
        penalty = self.gamma * (kl - self.capacity * self.ramped).abs()
        return {"loss": reconstruction + penalty, "reconstruction": reconstruction, "kl": kl, "penalty": penalty}
