"""An autoregressive prior on the codes of a finished VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937, section 3.2).

Differs from the paper: a causal transformer in place of the PixelCNN; the codes are one channel of an image whose levels are
their indices, so that any model of exact likelihood on images of levels can be the prior.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Quantises
from genarena.models.first_stage import ROWS, FirstStage, TwoStage
from genarena.options.values import Folder
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class LatentAR(TwoStage):
    """log p(x) >= log p(x|e(x)) + log p(e(x)),  log p(e) = sum_i log p(e_i | e_1, ..., e_{i-1}),  e(x) and p(x|e) frozen.

    first_stage: the folder of a finished run of a model with discrete codes. prior: the model of the codes.
    The weights that are kept maximise log p(e(x)) on validation data. Raises ValueError for a prior without a bound.
    """

    family = "vae"
    paper = "1711.00937"
    needs = Quantises

    def __init__(
        self,
        spec: DataSpec,
        prior: Callable[..., GenerativeModel],
        first_stage: Folder | FirstStage,
        training: Training | None = None,
    ) -> None:
        super().__init__(spec, prior, first_stage, training)
        if self.prior.likelihood not in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
            raise ValueError(f"model.prior: {type(self.prior).__name__} has no bound on its likelihood")

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.LOWER_BOUND

    def code_spec(self, spec: DataSpec) -> DataSpec:
        """One channel (1, h, w), with as many levels as there are codes."""
        first: Quantises = self.first_stage.model
        return replace(super().code_spec(spec), shape=(1, *first.code_size), num_levels=first.num_codes)

    def training_data(self, data: Any, device: torch.device) -> Any:
        """The data as it is: codes are found at each step, which costs one pass through the encoder."""
        return data

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """e(x) (N, 1, h, w) as levels of the prior."""
        return torch.cat([self.first_stage.model.codes(part) for part in x.split(ROWS)])[:, None].to(
            self.prior.spec.dtype
        )

    def fixed_codes(self, x: Tensor) -> Tensor:
        return self.codes(x)

    def _codes(self, batch: Batch) -> Batch:
        return Batch(self.codes(batch.x), batch.y)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|e) for e ~ p(e). A code that is NaN makes its example NaN."""
        codes = self.prior.sample(num_samples, y)[:, 0]
        parts = codes.nan_to_num().long().split(ROWS)
        x = torch.cat([self.first_stage.model.likelihood_of_codes(part).sample() for part in parts])
        broken = codes.isnan().flatten(1).any(1)
        return torch.where(broken[:, None, None, None], math.nan, x) if broken.any() else x

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: log p(x|e(x)) + log p(e(x)); with an exact prior it involves no chance."""
        codes, first = self.codes(x), self.first_stage.model
        pairs = zip(x.split(ROWS), codes[:, 0].long().split(ROWS), strict=True)
        parts = [first.likelihood_of_codes(own).log_prob(part).flatten(1).sum(1) for part, own in pairs]
        return torch.cat(parts) + self.prior.log_prob(codes, y, num_samples)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        prior = self.prior.estimator(num_samples)
        method = f"evidence lower bound: one code per place; log p(codes): {prior.pop('method')}"
        return {"method": method, "draws_asked": num_samples, **prior}
