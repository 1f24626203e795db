"""What guided algorithms share: a denoiser given y that wraps the model's, under any sampler of `models/diffusion`."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import DDIM, Ancestral, Denoised, DiffusionSampler, DPMSolver, Heun, clipped
from genarena.options.values import Count
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import Prior

SAMPLERS: dict[str, type[DiffusionSampler]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "dpm_solver": DPMSolver,
    "heun": Heun,
    "edm_heun": EDMHeun,
}


@dataclass(frozen=True)
class Guided(PosteriorSampler):
    """Runs a sampler with D_y(x) = E[x_0 | x, y], or what stands for it, in the place of D(x) = E[x_0 | x].

    num_steps: of the sampler. sampler: those of `models/diffusion`; heun and edm_heun evaluate D_y twice a step.
    clip: move D_y into [-1, 1], where the levels of images lie; other data is not clipped.
    """

    needs: ClassVar[type] = Denoises

    num_steps: Count = 50
    sampler: Literal["ancestral", "ddim", "dpm_solver", "heun", "edm_heun"] = "ancestral"
    clip: bool = False

    @abstractmethod
    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        """D_y (N, *shape) of x (N, *shape) at a level."""

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        prior, kind = Prior(model, problem), SAMPLERS[self.sampler]
        sampler = kind(nfe=kind.stages * self.num_steps)
        levels = sampler.levels(prior.path, None)

        def denoise(x: Tensor, level: Level) -> Denoised:
            return Denoised(self.guided(prior, problem, x, level))

        if self.clip and model.spec.is_discrete:
            denoise = clipped(denoise, -1.0, 1.0)
        noise = problem.noise.normal
        x = levels[0].s * noise(torch.empty(problem.shape, dtype=problem.y.dtype, device=problem.y.device))
        return Draws(sampler(denoise, x, levels, noise), prior.nfe, prior.facts)
