"""Flow maps: a sample is drawn by the map of an ODE from one noise level to another, in 1 .. n evaluations.

On the straight path x_t = (1 - t) x_0 + t eps the average velocity between two times is

    u(x_t, t, r) = 1 / (t - r) integral_r^t v(x_s, s) ds,    x_r = x_t - (t - r) u(x_t, t, r),    u(x_t, t, t) = v(x_t, t)

(Geng et al. 2025, arXiv 2505.13447, eq. 3; Frans et al. 2024, arXiv 2410.12557, eq. 2, with the step size d = t - r). `FlowMap`
follows the map from level to level. `Restarts` needs only the map to the data: it adds noise again after each evaluation
(Song et al. 2023, arXiv 2303.01469, algorithm 1).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.likelihood import from_space
from genarena.models.diffusion.paths import DATA, Level
from genarena.models.diffusion.samplers import MOST_STEPS, DiffusionSampler, Noise
from genarena.models.diffusion.straight_path import StraightPath
from genarena.models.diffusion.times import column
from genarena.models.sampler import Sampler
from genarena.options.values import Count, Share
from genarena.spec import DataSpec
from genarena.training.module import Training

Jump = Callable[[Tensor, Level, Level], Tensor]  # x at the first level to x at the second one


@dataclass(frozen=True)
class MapSampler(Sampler):
    """Samplers of flow maps, all with one signature, `sampler(jump, x, levels, noise) -> x`.

    nfe: evaluations of the map per sample. guidance: s in u + s (c - u), of where the map leads with a condition, c, and
    without, u.
    """

    nfe: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nfe > MOST_STEPS:
            raise ValueError(f"sampler.nfe={self.nfe}: expected at most {MOST_STEPS}, for steps of continuous time")

    @abstractmethod
    def __call__(self, jump: Jump, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like) -> Tensor:
        """x (N, *shape) at levels[0] to x at levels[-1], the data; noise: where a step adds some."""

    def num_steps(self, most: int | None = None) -> int:
        """Steps of `nfe` evaluations; most: ignored, because the time of a map is continuous."""
        return self.nfe

    def draws(self, most: int | None = None) -> int:
        """At most how often a sample asks for noise."""
        return self.nfe

    def evaluations(self, most: int | None = None) -> int:
        """Network evaluations of one sample; guidance needs two predictions at each place."""
        return self.nfe * self.predictions


@dataclass(frozen=True)
class FlowMap(MapSampler):
    """From each level to the next one: deterministic."""

    def __call__(self, jump: Jump, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like) -> Tensor:
        for start, end in pairwise(levels):
            x = jump(x, start, end)
        return x


@dataclass(frozen=True)
class Restarts(MapSampler):
    """From each level to the data x_0, and back to the next level by new noise: a x_0 + s eps."""

    nfe: Count = 2

    def __call__(self, jump: Jump, x: Tensor, levels: Sequence[Level], noise: Noise = torch.randn_like) -> Tensor:
        for start, end in pairwise(levels):
            x_0 = jump(x, start, DATA)
            x = end.a * x_0 + end.s * noise(x_0) if end.s else x_0
        return x


def guided(conditional: Jump, unconditional: Jump, guidance: float) -> Jump:
    """u + s (c - u); 0 and 1 need one map only."""
    if guidance in (0.0, 1.0):
        return conditional if guidance else unconditional

    def mixed(x: Tensor, start: Level, end: Level) -> Tensor:
        without = unconditional(x, start, end)
        return without + guidance * (conditional(x, start, end) - without)

    return mixed


def of_two_times(net: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A network of `conf/net` with a second time."""
    return lambda *sizes: net(*sizes, 2)


class Jumps(ABC):
    """A model that knows a map from one noise level to another, under the guidance of its sampler."""

    @abstractmethod
    def jump(self, x: Tensor, start: Level, end: Level, context: Tensor | None = None) -> Tensor:
        """Where the map takes x (N, *shape) from one level of any path to another with less noise."""

    def guided_jump(self, y: Tensor | None, num: int) -> Jump:
        """The map given y, under the sampler's guidance."""
        s = self.sampler.guidance
        given = partial(self.jump, context=self.context(y if s else None, num))
        if s in (0.0, 1.0):
            return given
        return guided(given, partial(self.jump, context=self.context(None, num)), s)


class AverageVelocity(Jumps, StraightPath):
    """u(x_t, t, r) by a network that is told t and a function of t - r; a subclass writes its loss.

    With r = t it is the velocity of flow matching, so that the samplers of diffusion and the likelihood of the flow are there
    too. Guidance mixes average velocities, which is exact for r = t alone.
    """

    samplers = MapSampler | DiffusionSampler

    def __init__(
        self,
        spec: DataSpec,
        net: Callable[..., nn.Module],
        training: Training | None,
        sampler: Sampler,
        dequantisation: Literal["none", "uniform"],
        condition_dropout: Share,
    ) -> None:
        super().__init__(spec, of_two_times(net), training, sampler, dequantisation, condition_dropout)

    def told(self, d: Tensor) -> Tensor:
        """What the network is told of the step d = t - r, (N,) in [0, 1]; 0 is told as 0."""
        return d

    def average(self, x: Tensor, t: Tensor, d: Tensor, context: Tensor | None = None) -> Tensor:
        """u(x, t, t - d), float32 (N, *shape); t and d (N,)."""
        return self.network(x, torch.stack([t, self.told(d)], 1), context).float()

    def outputs(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """The velocity v(x, t) = u(x, t, t)."""
        return self.average(x, t, torch.zeros_like(t), context)

    def jump(self, x: Tensor, start: Level, end: Level, context: Tensor | None = None) -> Tensor:
        t, r = (torch.full((len(x),), level.s / sum(level), device=x.device) for level in (start, end))
        x = x / sum(start)
        return sum(end) * (x - column(t - r, x) * self.average(x, t, t - r, context))

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): levels, or floats for continuous data; by the map, or by the velocity alone."""
        if isinstance(self.sampler, DiffusionSampler):
            return super().sample(num_samples, y)
        noise = torch.randn(num_samples, *self.spec.shape, device=self.device)
        return from_space(
            self.sampler(self.guided_jump(y, num_samples), noise, self.levels(self.sampler.nfe)), self.spec
        )

    def carried(self, noise: Tensor, context: Tensor, more: Noise) -> Tensor:
        if isinstance(self.sampler, DiffusionSampler):
            return super().carried(noise, context, more)
        return self.sampler(partial(self.jump, context=context), noise, self.levels(self.sampler.nfe), more)
