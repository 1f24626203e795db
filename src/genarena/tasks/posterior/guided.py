"""What guided algorithms share: a denoiser given y that wraps the model's, under any sampler of `models/diffusion`."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import DDIM, Ancestral, Denoised, DiffusionSampler, DPMSolver, Heun, clipped
from genarena.options.values import Count
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import Prior, Step

SAMPLERS: dict[str, type[DiffusionSampler]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "dpm_solver": DPMSolver,
    "heun": Heun,
    "edm_heun": EDMHeun,
}


@dataclass(frozen=True)
class Guided(PosteriorSampler):
    """Runs a sampler with D_y(x), which stands for E[x_0 | x, y], in the place of D(x) = E[x_0 | x].

    num_steps: of the sampler. clip: move D_y into [-1, 1], where the levels of images lie; other data is not clipped.
    """

    needs: ClassVar[type] = Denoises

    num_steps: Count = 50
    clip: bool = False

    @abstractmethod
    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        """D_y (N, *shape) of x (N, *shape) at a level."""

    def method(self) -> DiffusionSampler:
        """The sampler, of `num_steps` steps."""
        return Ancestral(nfe=self.num_steps)

    def shaped(self, problem: Problem, n: Tensor, step: Step) -> Tensor:
        """The noise that the sampler adds in a step, from standard normal numbers n (N, *shape)."""
        return n

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        prior, method = Prior(model, problem), self.method()
        prior.levels = levels = method.levels(prior.path, None)
        at = [levels[0]]  # where the sampler is

        def denoise(x: Tensor, level: Level) -> Denoised:
            at[0] = level
            return Denoised(self.guided(prior, problem, x, level))

        def noise(like: Tensor) -> Tensor:
            return self.shaped(problem, problem.noise.normal(like), prior.step(at[0]))

        if self.clip and model.spec.is_discrete:
            denoise = clipped(denoise, -1.0, 1.0)
        x = levels[0].s * problem.noise.normal(problem.empty())
        return Draws(method(denoise, x, levels, noise), prior.nfe, prior.facts)


@dataclass(frozen=True)
class AnySampler(Guided):
    """sampler: of `models/diffusion`; heun and edm_heun evaluate D_y twice a step."""

    sampler: Literal["ancestral", "ddim", "dpm_solver", "heun", "edm_heun"] = "ancestral"

    def method(self) -> DiffusionSampler:
        kind = SAMPLERS[self.sampler]
        return kind(nfe=kind.stages * self.num_steps)
