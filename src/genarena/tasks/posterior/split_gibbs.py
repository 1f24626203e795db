"""Split Gibbs sampling with a diffusion prior (DPnP: Xu & Chi 2024, arXiv 2403.17042; PnP-DM: Wu, Sun, Chen, Zhang, Yue &
Bouman 2024, arXiv 2405.18782)."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.samplers import Ancestral
from genarena.options.values import Count, Positive
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior import prox
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.denoiser import Prior


@dataclass(frozen=True)
class SplitGibbs(PosteriorSampler):
    """Draws z ~ N(z; x, eta^2 I) N(y; A z, sigma^2 I) / Z and x ~ p(x | z), z = x + eta n, in turn, while eta falls.

    For a fixed eta the chain goes to p(x) p(y | x + eta n), which tends to p(x | y) as eta falls; x given z is drawn by
    ancestral steps from the level with s / a = eta. num_rounds: turns. first, eta: the largest and the smallest eta, in the
    units of the model's space, even in the logarithm between; eta null: chosen on validation images. num_steps: ancestral
    steps of a draw of x; with few of them it varies too little.
    """

    name = "split_gibbs"
    needs: ClassVar[type] = Denoises
    exactness = "asymptotic"
    paper = "2405.18782"
    strength: ClassVar[str] = "eta"
    strengths: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.2)

    num_rounds: Count = 50
    num_steps: Count = 10
    first: Positive = 3.0
    eta: Positive | None = None

    def draw(self, model: Denoises, problem: Problem) -> Draws:
        prior, x = Prior(model, problem), torch.zeros_like(problem.empty())
        for ratio in self.ratios():
            z = prox.draw(problem, x, ratio)
            levels = prior.path(self.num_steps, ratio)
            x = Ancestral()(prior, levels[0].a * z, levels, problem.noise.normal)
        return Draws(x, prior.nfe)

    def ratios(self) -> list[float]:
        """eta of each turn."""
        fall = (self.eta / self.first) ** (1.0 / max(1, self.num_rounds - 1))
        return [self.first * fall**k for k in range(self.num_rounds)]
