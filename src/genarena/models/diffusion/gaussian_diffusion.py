"""What all diffusion models share: a path from data to noise, a denoiser, a sampler that knows nothing else, guidance."""

from abc import abstractmethod
from functools import partial

import torch
from torch import Tensor

from genarena.likelihood import from_space, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Denoises
from genarena.models.diffusion.data_range import DataRange
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised, Denoiser, DiffusionSampler, guided
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class GaussianDiffusion(GenerativeModel, Denoises):
    """x_t = a x_0 + s eps, eps ~ N(0, I), and E[x_0 | x_t] by a network.

    A subclass writes its loss, `levels` and `denoised`, and names the steps of its schedule, if it has one. Levels of data are
    scaled to [-1, 1], continuous data is not; it should have about unit scale.
    """

    family = "diffusion"
    mixed_precision = True
    shardable = True
    conditional = True
    samplers = DiffusionSampler
    most_steps: int | None = None  # of the schedule; None: time is continuous

    def __init__(self, spec: DataSpec, training: Training | None, condition_dropout: float) -> None:
        super().__init__(spec, training, condition_dropout)
        self.range = None if spec.is_discrete else DataRange(spec.shape)

    @abstractmethod
    def levels(self, num_steps: int) -> list[Level]:
        """num_steps + 1 levels of the model's path, from noise to data."""

    @abstractmethod
    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        """The prediction, not clipped, for x (N, *shape) at a level of any path; differentiable."""

    def use(self, sampler: DiffusionSampler) -> None:
        super().use(sampler)
        sampler.num_steps(self.most_steps)  # raises ValueError
        if sampler.guidance != 1.0 and not (self.conditioning and self.conditioning.dropout):
            raise ValueError(
                f"sampler.guidance={sampler.guidance}: the model was trained without conditions that are dropped at "
                "random, and has no prediction without them; expected 1"
            )

    def observe(self, batch: Batch) -> None:
        """Continuous data: the range of the training examples, for the samplers."""
        if self.range:
            self.range.observe(exchange.whole_batch(batch.x))

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): uint8 levels, or floats for continuous data."""
        levels = self.sampler.levels(self.levels, self.most_steps)
        noise = levels[0].s * torch.randn(num_samples, *self.spec.shape, device=self.device)
        x = self.sampler.draw(self.guided_denoiser(y, num_samples), noise, levels, self.ends)
        return from_space(x, self.spec)

    def guided_denoiser(self, y: Tensor | None, num: int) -> Denoiser:
        """The prediction given y, under the sampler's guidance."""
        s = self.sampler.guidance
        given = partial(self.denoised, context=self.context(y if s else None, num))
        if s in (0.0, 1.0):
            return given
        return guided(given, partial(self.denoised, context=self.context(None, num)), s)

    @property
    def ends(self) -> tuple[Tensor | float, Tensor | float]:
        """The range of the data, in which every posterior mean lies."""
        return self.range.ends() if self.range else (-1.0, 1.0)

    def scaled(self, x: Tensor) -> Tensor:
        """x_0 (N, *shape): levels scaled to [-1, 1], or the continuous data itself."""
        return to_space(x, self.spec)

    @property
    def nfe(self) -> int:
        return self.sampler.evaluations(self.most_steps)
