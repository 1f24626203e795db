"""Variational autoencoder with a discriminator for the total correlation of its code (Kim & Mnih 2018, arXiv 1802.05983).

Differs from the paper: the networks are those of `vae`, unless `strided` asks for the paper's; the discriminator has one logit,
the difference of the paper's two; the second batch is the other half of the batch; gamma and the weight of the KL rise over the
first `warmup` share of the budget.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.likelihood import bits_per_dim
from genarena.models.gan.objectives import log_loss_discriminator
from genarena.models.sampler import Temperature
from genarena.models.vae.aggregate_posterior import permuted
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player, joint

SLOPE = 0.2  # of the leaky ReLUs for negative inputs


class FactorVAE(LatentVariableModel):
    """min -ELBO + gamma E_q(z)[D(z)],   D*(z) = log q(z) - log prod_j q(z_j), learnt by classification (eq. 2 and 3).

    gamma: weight of the total correlation, reached over the first `warmup` share of the training, as that of the KL.
    second_batch: codes are permuted within the second half of the batch, and D sees the first half as they are: no code is
        on both sides, as in the paper. False: the same codes are on both sides, and D sees twice as many.
    discriminator_hidden: widths of the layers of D.
    discriminator_optimizer: of D; None: `training.optimizer`.
    latent_dim, sampler: of `LatentVariableModel`. The other options are those of `VAE`.

    The loss is no bound; `log_prob` is the ELBO. The last weights are evaluated: D learns until the end, so losses of
    different validations do not compare.
    """

    paper = "1802.05983"
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
        gamma: NonNegative = 20.0,
        second_batch: bool = False,
        discriminator_hidden: Sequence[Count] = (256, 256, 256),
        warmup: Share = 0.1,
        discriminator_optimizer: Callable | None = None,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        if not discriminator_hidden or min(discriminator_hidden) < 1:
            raise ValueError(f"discriminator_hidden={list(discriminator_hidden)}: expected widths such as [256, 256]")
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, strided)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.discriminator = logit_network([latent_dim, *discriminator_hidden])
        self.gamma, self.second_batch, self.warmup = gamma, second_batch, warmup
        self.discriminator_optimizer = discriminator_optimizer
        self.ramp = 1.0  # before the end no weights are chosen

    @property
    def ramped(self) -> float:
        return min(1.0, self.progress / self.warmup) if self.warmup else 1.0

    def players(self) -> list[Player]:
        judge = list(self.discriminator.parameters())
        others = {id(parameter) for parameter in judge}
        own = [parameter for parameter in self.parameters() if id(parameter) not in others]
        return [
            Player("vae", own, self.vae_loss),
            Player("discriminator", judge, self.discriminator_loss, self.discriminator_optimizer),
        ]

    def vae_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nats; `total_correlation` is the mean of D(z)."""
        posterior = self.posterior(*batch)
        z = posterior.sample()
        reconstruction = -self.log_likelihood(batch.x, z, batch.y).mean()
        kl = posterior.kl(self.prior(batch.y, len(batch.x))).mean(0).sum()
        correlation = self.log_ratio(z).mean()
        loss = reconstruction + self.ramped * (kl + self.gamma * correlation)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "total_correlation": correlation}

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Twice the cross-entropy of telling codes from permuted ones; 2 log 2 if D knows nothing."""
        with torch.no_grad():
            z = self.posterior(*batch).sample()
        joined, other = z.tensor_split(2) if self.second_batch else (z, z)
        return {"loss": log_loss_discriminator(self.log_ratio(joined), self.log_ratio(permuted(other)))}

    def log_ratio(self, z: Tensor) -> Tensor:
        """D(z) (N,) nats of codes (N, D)."""
        return self.discriminator(z).float().squeeze(1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses at once, for inspection; training alternates them."""
        return joint(self.players(), batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.vae_loss(batch)
        bits = bits_per_dim(self.log_prob(*batch), self.spec.num_dims).mean()
        return terms | {"bits_per_dim": bits, "objective": terms["loss"]}


def logit_network(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes with leaky ReLUs, and one logit."""
    layers = [part for before, after in pairwise(sizes) for part in (nn.Linear(before, after), nn.LeakyReLU(SLOPE))]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
