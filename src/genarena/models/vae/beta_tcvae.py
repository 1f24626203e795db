"""Variational autoencoder with a weight on the total correlation of its code (Chen et al. 2018, arXiv 1802.04942).

Differs from the paper: the networks are those of `vae`, unless `perceptron` or `strided` asks for others; the KL enters in
closed form, and the estimates through the batch only with what their weights add to it; the weights rise over the first
`warmup` share of the budget; the stratified weights are averaged over the order of the batch (`aggregate_posterior.py`).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.aggregate_posterior import Sampling, decomposition
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class BetaTCVAE(LatentVariableModel):
    """min -E_q(z|x)[log p(x|z)] + alpha I(x; z) + beta TC(z) + gamma sum_j KL(q(z_j) || p(z_j))  (eq. 4).

    The three terms sum to KL(q(z|x) || p(z)), so the loss is computed as the KL, in closed form, plus (alpha - 1) I + ...
    alpha, beta, gamma: the weights, reached over the first `warmup` share of the training, as those of the whole KL.
    sampling: how log q(z) is estimated from a batch: weighted or stratified, see `aggregate_posterior.log_weights`.
    latent_dim, sampler: of `LatentVariableModel`. The other options are those of `VAE`.

    The loss is no bound unless all weights are one; `log_prob` is the ELBO. N, the number of training examples, is known from
    `training_data`; before, it is the size of the batch.
    """

    paper = "1802.04942"
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
        alpha: NonNegative = 1.0,
        beta: NonNegative = 6.0,
        gamma: NonNegative = 1.0,
        sampling: Sampling = "weighted",
        warmup: Share = 0.1,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron, strided)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.alpha, self.beta, self.gamma, self.ramp = alpha, beta, gamma, warmup
        self.sampling = sampling
        self.bound_is_loss = alpha == beta == gamma == 1.0
        self.num_data = 0

    def training_data(self, data: Any, device: torch.device) -> Any:
        self.num_data = data.training_split.size
        return data

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nats, means over the batch. With weighted sampling `total_correlation` has a large constant error."""
        posterior, prior = self.posterior(*batch), self.prior(batch.y, len(batch.x))
        z = posterior.sample()
        reconstruction = -self.log_likelihood(batch.x, z, batch.y).mean()
        kl = posterior.kl(prior).mean(0).sum()
        terms = decomposition(z, posterior, prior, max(self.num_data, len(z)), self.sampling)
        information, correlation, dimension_wise = terms
        more = (self.alpha - 1.0) * information + (self.beta - 1.0) * correlation + (self.gamma - 1.0) * dimension_wise
        loss = reconstruction + self.ramped * (kl + more)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, **terms._asdict()}
