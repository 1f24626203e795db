"""Variational autoencoder whose codes have the covariance of the prior (Kumar et al. 2018, arXiv 1711.00848).

Differs from the paper: the networks are those of `vae`, unless `strided` asks for those of later comparisons; covariances are
those of the batch; the weights rise over the first `warmup` share of the budget.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

Variant = Literal["i", "ii"]


class DIPVAE(LatentVariableModel):
    """min -ELBO + lambda_od sum_(i != j) C_ij^2 + lambda_d sum_i (C_ii - 1)^2  (eq. 6 and 7).

    variant: i: C = Cov[mean of q(z|x)]. ii: C = Cov[mean] + E[variances of q(z|x)], the covariance of z itself.
    off_diagonal, diagonal: lambda_od and lambda_d, reached over the first `warmup` share of the training, as the weight of
        the KL.
    latent_dim, sampler: of `LatentVariableModel`. The other options are those of `VAE`.

    The loss is no bound unless both weights are zero; `log_prob` is the ELBO.
    """

    paper = "1711.00848"
    mixed_precision = True
    shardable = True

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
        variant: Variant = "ii",
        off_diagonal: NonNegative = 10.0,
        diagonal: NonNegative = 10.0,
        warmup: Share = 0.1,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, strided)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.variant, self.off_diagonal, self.diagonal, self.ramp = variant, off_diagonal, diagonal, warmup
        self.bound_is_loss = off_diagonal == diagonal == 0.0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nats; `off_diagonal` and `diagonal` are the sums of squares before their weights."""
        posterior = self.posterior(*batch)
        reconstruction = -self.log_likelihood(batch.x, posterior.sample(), batch.y).mean()
        kl = posterior.kl(self.prior(batch.y, len(batch.x))).mean(0).sum()
        off, own = deviations(covariance(posterior, self.variant))
        loss = reconstruction + self.ramped * (kl + self.off_diagonal * off + self.diagonal * own)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "off_diagonal": off, "diagonal": own}


def covariance(posterior: Gaussian, variant: Variant) -> Tensor:
    """C (D, D) of a batch of posteriors, divided by its size M."""
    centred = posterior.mean - posterior.mean.mean(0)
    of_means = (centred[:, :, None] * centred[:, None]).mean(0)  # no matrix product: float32 under autocast too
    return of_means if variant == "i" else of_means + torch.diag(posterior.log_var.exp().mean(0))


def deviations(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of squares of C - I, off its diagonal and on it; both are 0 if and only if C = I."""
    own = (covariance.diagonal() - 1.0).square().sum()
    return covariance.square().sum() - covariance.diagonal().square().sum(), own
