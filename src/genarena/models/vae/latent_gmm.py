"""A mixture of Gaussians as the prior of a finished autoencoder (Ghosh et al. 2020, arXiv 1903.12436, section 3.3).

The codes of a trained VAE are not distributed as its prior N(0, I), and draws from N(0, I) fall where the decoder never was
(Rosca, Lakshminarayanan & Mohamed 2018, arXiv 1802.06847). The mixture is fitted to them by EM; the networks stay as they are.

Differs from the paper: the mixture is fitted to draws of q(z|x), not to their means, which makes EM a maximisation of the
bound on log p(x); covariances are shrunk, as `gmm` says; the first stage is any run of this arena with codes; with
`data.condition=label` there is a mixture per label.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, log_mean_exp
from genarena.models.capabilities import Weighs
from genarena.models.first_stage import TwoStage


class LatentGMM(TwoStage, Weighs):
    """max over pi, mean, C of  E_{q(z|x)}[ log sum_k pi_k N(z; mean_k, C_k) ],  q(z|x) and p(x|z) frozen.

    first_stage: the folder of a finished run whose model has codes. prior: the mixture of the codes.
    The weights that are kept minimise the loss of the mixture on the codes of validation data.
    """

    family = "vae"
    paper = "1903.12436"
    condition_kinds = ("label",)
    max_epochs = 30

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: with one draw the ELBO with the exact entropy of q, beyond the importance-weighted bound.

        Raises TypeError without a likelihood.
        """
        return super().log_prob(x, y) if num_samples == 1 else log_mean_exp(self.log_weights(x, y, num_samples))

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x|z) p(z | y) / q(z|x) for z ~ q(z|x), (num_samples, N) nats. Raises TypeError without a likelihood."""
        if self.likelihood is Likelihood.NONE:
            super().log_prob(x, y)  # raises
        encoded = self.first_stage.encoded(x)
        return torch.stack([self._log_weight(x, encoded, y) for _ in range(num_samples)])

    def _log_weight(self, x: Tensor, encoded: Tensor, y: Tensor | None) -> Tensor:
        codes = self.first_stage.draw(encoded)
        return self.log_joint(x, codes, y) - self.first_stage.log_posterior(encoded, codes)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound, exact entropy of q" if num_samples == 1 else "importance-weighted bound"
        return {"method": f"{method}, mixture of Gaussians as the prior", "importance_samples": num_samples}
