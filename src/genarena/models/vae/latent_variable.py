"""The base of the models of this family whose q(z|x) and p(z) are both diagonal normals."""

import torch
from torch import Tensor

from genarena.models.capabilities import Infers
from genarena.models.vae.normal_prior import NormalPrior
from genarena.spec import Batch


class LatentVariableModel(NormalPrior, Infers):
    """p(x) = E_{z ~ N(0, I)} p(x|z), bounded through q(z|x) = N(mean, exp(log_var)); a subclass writes the loss."""

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        posterior, prior = self.posterior(*batch), self.prior(batch.y, len(batch.x))
        shift = (posterior.mean - prior.mean) * torch.exp(-0.5 * prior.log_var)
        return -self.log_likelihood(batch.x, posterior.sample(), batch.y), posterior.kl(prior), shift

    def estimator(self, num_samples: int = 1) -> dict[str, object]:
        method = {"method": "evidence lower bound, analytic KL"} if num_samples == 1 else {}
        return super().estimator(num_samples) | method
