"""What all diffusion models share: a path from data to noise, a denoiser, a sampler that knows nothing else, guidance."""

from abc import abstractmethod
from functools import partial

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.likelihood import from_space
from genarena.models.capabilities import Denoises, Represents
from genarena.models.diffusion.noised_data import NoisedData
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Denoised, Denoiser, DiffusionSampler, Noise, clipped, guided
from genarena.models.diffusion.times import column
from genarena.models.vocoding import Vocodes
from genarena.nets.conditioning import KINDS
from genarena.nets.layers import layers_of, recorded

SIGMAS, DRAWS = (0.05, 0.2, 0.6), 4  # of `features`: noise levels s / a, and draws of noise


class GaussianDiffusion(NoisedData, Denoises, Represents, Vocodes):
    """x_t = a x_0 + s eps, eps ~ N(0, I), and E[x_0 | x_t] by a network.

    A subclass writes its loss, `levels` and `denoised`, and names the steps of its schedule, if it has one.
    """

    family = "diffusion"
    mixed_precision = True
    shardable = True
    takes_sound = True  # where the network does
    conditional = True
    condition_kinds = (*KINDS, "mel")
    guides = True
    samplers = DiffusionSampler
    most_steps: int | None = None  # of the schedule; None: time is continuous

    @abstractmethod
    def levels(self, num_steps: int) -> list[Level]:
        """num_steps + 1 levels of the model's path, from noise to data."""

    @abstractmethod
    def denoised(self, x: Tensor, level: Level, context: Tensor | None = None) -> Denoised:
        """The prediction, not clipped, for x (N, *shape) at a level of any path; differentiable."""

    def use(self, sampler: DiffusionSampler) -> None:
        super().use(sampler)
        sampler.num_steps(self.most_steps)  # raises ValueError

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): levels, or floats for continuous data."""
        levels = self.sampler.levels(self.levels, self.most_steps)
        noise = levels[0].s * torch.randn(num_samples, *self.spec.shape, device=self.device)
        x = self.sampler.draw(self.guided_denoiser(y, num_samples), noise, levels, self.ends)
        return from_space(self.coloured(x, y), self.spec)

    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        """By the sampler of the model; the noise is its start and, one after the other, what its steps add."""
        if self.conditioning is None or self.conditioning.condition.kind != "mel":
            raise ValueError(f"{type(self).__name__} makes sound of a mel if it was trained with data.condition=mel")
        if self.sampler.guidance != 1.0:
            raise ValueError(f"sampler.guidance={self.sampler.guidance}: expected 1 for a mel of any length")
        draws = iter(noise.split(1, 1))
        return self.carried(next(draws), self.conditioning.frames(mel), lambda x: next(draws))

    def carried(self, noise: Tensor, context: Tensor, more: Noise) -> Tensor:
        """From noise (N, *shape) to data by the sampler, without guidance; more: the noise that its steps add."""
        denoise = partial(self.denoised, context=context)
        denoise = clipped(denoise, *self.ends) if self.sampler.clip else denoise
        levels = self.sampler.levels(self.levels, self.most_steps)
        return self.sampler(denoise, levels[0].s * noise, levels, more)

    def assembled(self, parts: Tensor, mel: Tensor) -> Tensor:
        return self.coloured(parts, mel)

    @property
    def noise_channels(self) -> int:
        return 1 + self.sampler.draws(self.most_steps)

    @property
    def reach(self) -> int:
        return self.sampler.evaluations(self.most_steps) * self.network.reach

    def guided_denoiser(self, y: Tensor | None, num: int) -> Denoiser:
        """The prediction given y, under the sampler's guidance."""
        s = self.sampler.guidance
        given = partial(self.denoised, context=self.context(y if s else None, num))
        if s in (0.0, 1.0):
            return given
        return guided(given, partial(self.denoised, context=self.context(None, num)), s)

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Layers of the network at the noise levels `SIGMAS`, maps averaged over positions, vectors over `DRAWS` draws of
        noise, which are the same for every example (DDAE: Xiang et al. 2023, arXiv 2303.09769, with one draw). A network that
        names no layers gives E[x_0 | x_t]."""
        found, x_0 = {}, self.whitened(self.scaled(x), y)[0]
        for sigma in SIGMAS:
            t = self._time_of(sigma).expand(len(x))
            a, s = (column(part, x_0) for part in self.marginal(t))
            draws = [self._hidden(a * x_0 + s * self._fixed_noise(draw), t, y) for draw in range(DRAWS)]
            found |= {f"{name} at {sigma:g}": sum(each[name] for each in draws) / DRAWS for name in draws[0]}
        return found

    def _hidden(self, x_t: Tensor, t: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Name to vectors (N, F)."""
        layers = layers_of(self.network)
        if layers:
            return recorded(lambda: self.denoise(x_t, t, y), layers)
        return {"denoised": self.denoise(x_t, t, y).flatten(1).float()}

    def _time_of(self, sigma: float) -> Tensor:
        """The time () at which s / a is nearest to sigma, out of a thousand."""
        t = torch.linspace(0.0, 1.0, 1001, device=self.device)[1:-1]
        a, s = self.marginal(t)
        return t[(s / a / sigma).log().abs().argmin()]

    def _fixed_noise(self, draw: int) -> Tensor:
        generator = seeded_generator("features", draw)
        return torch.randn(self.spec.shape, generator=generator).to(self.device)

    @property
    def nfe(self) -> int:
        return self.sampler.evaluations(self.most_steps)
