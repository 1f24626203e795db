"""An autoregressive prior on the codes of a finished VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937, section 3.2).

Differs from the paper: a causal transformer in place of the PixelCNN; the codes are one channel of an image whose levels are
their indices, so that any model of exact likelihood on images of levels can be the prior.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genarena.errors import UserError
from genarena.likelihood import Likelihood, Parts
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Quantises
from genarena.models.first_stage import FirstStage, TwoStage
from genarena.models.sampler import Temperature
from genarena.models.splitting import Splits
from genarena.models.vae.discrete_codes import (
    codes_as_levels,
    estimator_of_bound,
    information_of_codes,
    parts_of_bound,
    rendered_codes,
    spec_of_codes,
)
from genarena.nets.codebook import usage
from genarena.options.values import Folder
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

FIRST = 2_000  # training examples that show which codes are used
LEAST_USED = 0.05


class LatentAR(TwoStage, Splits):
    """log p(x) >= log p(x|e(x)) + log p(e(x)),  log p(e) = sum_i log p(e_i | e_1, ..., e_{i-1}),  e(x) and p(x|e) frozen.

    first_stage: the folder of a finished run of a model with discrete codes. prior: the model of the codes, with its sampler.
    The weights that are kept maximise log p(e(x)) on validation data. Raises ValueError for a prior without a bound.
    """

    family = "vae"
    paper = "1711.00937"
    guides = True
    samplers = Temperature | TopP
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

    @property
    def sampler(self) -> Temperature | TopP:
        """That of the prior."""
        return self.prior.sampler

    def use(self, sampler: Temperature | TopP) -> None:
        self.prior.use(sampler)

    def code_spec(self, spec: DataSpec) -> DataSpec:
        """One channel (1, h, w), with as many levels as there are codes."""
        return spec_of_codes(self.first_stage.model, super().code_spec(spec))

    def training_data(self, data: Any, device: torch.device) -> Any:
        """The data as it is: codes are found at each step, which costs one pass through the encoder. Raises UserError if the
        first training examples use less than a twentieth of the codes: the codebook has collapsed, and so would the prior."""
        codes = self.codes(data.train[:FIRST].x.to(device))
        share = usage(codes.long(), self.first_stage.model.num_codes)
        if share < LEAST_USED:
            raise UserError(
                f"model.first_stage: {self.first_stage.name} uses {share:.1%} of its {self.first_stage.model.num_codes} codes "
                f"on {len(codes):,} training examples, and a prior needs at least {LEAST_USED:.0%}"
            )
        return data

    def codes(self, x: Tensor) -> Tensor:
        """e(x) (N, 1, h, w) as levels of the prior."""
        return codes_as_levels(self.first_stage.model, x, self.prior.spec)

    def fixed_codes(self, x: Tensor) -> Tensor:
        return self.codes(x)

    def _codes(self, batch: Batch) -> Batch:
        return Batch(self.codes(batch.x), batch.y)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|e) for e ~ p(e | y). A code that is NaN makes its example NaN."""
        return rendered_codes(self.first_stage.model, self.prior.sample(num_samples, y))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: log p(x|e(x)) + log p(e(x) | y); with an exact prior it involves no chance."""
        parts = self.parts(x, y, num_samples)
        return -parts.distortion - parts.rate.sum(1)

    def parts(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Parts:
        codes = self.codes(x)
        return parts_of_bound(self.first_stage.model, x, codes, self.prior.log_prob(codes, y, num_samples))

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return information_of_codes(self.codes(x))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return estimator_of_bound(self.prior, num_samples)
