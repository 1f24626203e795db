"""Importance-weighted autoencoder (Burda, Grosse & Salakhutdinov 2016, arXiv 1509.00519).

Differs from the paper: residual convolutional networks, unless `perceptron` asks for its tanh units (an MLP for vectors);
Bernoulli or discretised-logistic pixels, one layer of latent variables, and the doubly reparameterised gradient of the
encoder (Tucker et al. 2019, arXiv 1810.04152), unless the paper's is chosen.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genarena.likelihood import log_mean_exp
from genarena.models.sampler import Temperature
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.latent_variable import LatentVariableModel
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.options.values import Count, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class IWAE(LatentVariableModel):
    """log p(x) >= L_k = E_{z_1..z_k ~ q(z|x)}[log 1/k sum_i w_i],  w_i = p(x|z_i) p(z_i) / q(z_i|x) (eq. 8).

    num_importance: k, the number of draws in the loss; all of them are decoded at once. 1 is the ELBO.
    gradient: of the encoder. With v_i = w_i / sum_j w_j,
        "plain": sum_i v_i d log w_i, whose signal-to-noise ratio falls with k (Rainforth et al. 2018, arXiv 1802.04537);
        "doubly_reparameterised": sum_i v_i^2 (d log w_i / d z_i) (d z_i / d phi), of the same expectation (Tucker, eq. 7).
    latent_dim, sampler: of `LatentVariableModel`. The other options are those of `VAE`.

    `log_prob` with one draw is the ELBO, as for every model of this family; the weights that are kept minimise -L_k on
    validation data.
    """

    paper = "1509.00519"
    mixed_precision = True
    takes_missing = True
    shardable = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_importance: Count = 4,
        gradient: Literal["plain", "doubly_reparameterised"] = "doubly_reparameterised",
        latent_dim: Count = 32,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron)
        super().__init__(spec, training, networks_for(spec, latent_dim, images), latent_dim, sampler)
        self.num_importance, self.gradient = num_importance, gradient

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is -L_k, `elbo` the mean of log w, nats."""
        log_weights = self.importance(batch)
        bound = log_mean_exp(log_weights).mean()
        return {"loss": -bound, "elbo": log_weights.detach().mean()}

    def importance(self, batch: Batch) -> Tensor:
        """log w (k, N) nats of k draws; the log of their mean has the chosen gradient.

        The log-mean-exp gives each log w_i the weight v_i. Doubly reparameterised, log q does not see the parameters of q
        directly, and what flows back into z_i has the weight v_i once more: so it is v_i^2, while the decoder keeps v_i.
        """
        posterior = self.posterior(*batch)
        if self.gradient == "plain":
            return self.log_weights_of(batch, *posterior.draws(self.num_importance))
        z = posterior.at(posterior.noise_of_draws(self.num_importance))
        normalised: list[Tensor] = []  # v (k, N), known when the gradient arrives
        if z.requires_grad:
            z.register_hook(lambda gradient: gradient * normalised[0].unsqueeze(2))
        log_weights = self.log_weights_of(batch, z, posterior.detached().log_prob(z).sum(2))
        normalised.append(torch.softmax(log_weights.detach(), 0))
        return log_weights
