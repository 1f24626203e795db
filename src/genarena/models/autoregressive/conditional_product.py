"""The base of the models of this family: an exact product of conditionals, drawn one factor after the other."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, as_levels, bits_per_dim
from genarena.models.autoregressive.level_choice import TopP, sampled
from genarena.models.base import GenerativeModel
from genarena.models.keeping import Choose
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import in_parts
from genarena.spec import Batch


class ConditionalProduct(GenerativeModel):
    """log p(x | y) = sum_i log p(x_i | x_1, ..., x_{i-1}, y); a subclass writes `log_prob` and `unroll`.

    sample_chunk: number of examples that are drawn together. It bounds the memory. The samples of a seed depend on it,
        because it sets the order of the random numbers.
    """

    family = "autoregressive"
    likelihood = Likelihood.EXACT
    conditional = True
    guides = True
    samplers = Temperature | TopP
    sample_chunk: int = 512

    def terms(self, log_prob: Tensor) -> dict[str, Tensor]:
        """Of log-probabilities (N,): `loss` in bits/dim, the same scale for every data set; `nll` in nats."""
        nll = -log_prob.mean()
        return {"loss": bits_per_dim(-nll, self.spec.num_dims), "nll": nll}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return self.terms(self.log_prob(*batch))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.terms(self.log_prob(*batch))
        return terms | {"bits_per_dim": terms["loss"]}  # exact bits/dim: no second pass

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {"method": "product of conditionals"}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape) levels. One small step per factor."""
        parts = in_parts(self.conditioning, num_samples, self.sample_chunk, y)
        drawn = [sampled(self, *part, self.unroll) for part in parts]
        return as_levels(torch.cat(drawn), self.spec.num_levels)

    @abstractmethod
    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None) -> Tensor:
        """Levels (num_images, *shape) that `choose` gives, one factor after the other; see `Factorises`."""
