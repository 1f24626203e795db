"""A model of a world where all is known, that heeds its condition as much as it is guided."""

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.samplers import DDIM
from genarena.spec import Batch, DataSpec


class Guided(GenerativeModel):
    """Learns nothing. A subclass writes `sample`, which reads `self.sampler.guidance`."""

    family, likelihood, paper, conditional, samplers = "baseline", Likelihood.NONE, "", True, DDIM
    guides = True

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec, condition_dropout=0.1)
        self.sampler = DDIM()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}
