"""The prior p(z) = N(0, I), and with a condition a diagonal normal p(z|y) that the model learns."""

import torch
from torch import Tensor

from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead, standard_log_prob
from genarena.models.vae.latent_model import LatentModel, Mode
from genarena.models.vae.networks import Networks
from genarena.nets.conditioning import linear, num_features
from genarena.spec import DataSpec
from genarena.training.module import Training


class NormalPrior(LatentModel):
    """With a condition: p(x|y) = E_{z ~ p(z|y)} p(x|z, y) and q(z|x, y) (Sohn, Lee & Yan 2015, eq. 4). p(z|y) is a diagonal
    normal per condition, N(0, I) at the start. A decoder alone would learn y late: it saves a few of many hundred nats."""

    conditional = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None,
        networks: Networks,
        latent_dim: int,
        sampler: Temperature | Mode,
    ) -> None:
        super().__init__(spec, training, networks, latent_dim, sampler)
        self.prior_head = linear(num_features(spec.condition), 2 * latent_dim)

    def prior(self, y: Tensor | None, num: int) -> Gaussian:
        """p(z|y) of `num` conditions, (num, latent_dim); N(0, I) of an unconditional model."""
        if self.prior_head is None:
            zeros = torch.zeros(num, self.latent_dim, device=self.device)
            return Gaussian(zeros, zeros)
        return GaussianHead()(self.prior_head(self.context(y, num)))

    def log_prior(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.prior_head is None:
            return standard_log_prob(z).sum(1)
        return self.prior(y, len(z)).log_prob(z).sum(1)

    def code(self, num: int, y: Tensor | None = None) -> Tensor:
        """z ~ p(z|y), whose standard deviation is multiplied by the temperature T of the sampler."""
        return self.prior(y, num).at(self.sampler.code(num, self.latent_dim, self.device))
