"""Sequential Monte Carlo through a factorised model (Gordon, Salmond & Smith 1993, doi 10.1049/ip-f-2.1993.0015; the idea for
generative models: Wu et al. 2023, arXiv 2306.17775).

Each lane has particles of its own, and gives one draw of them. `particles.py` has proposal, weights and resampling.
"""

from dataclasses import dataclass

import torch

from genarena.models.capabilities import Factorises
from genarena.options.values import Count
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.posterior.particles import ROWS, comes_first, needs_a_mask, one_each, sweep


@dataclass(frozen=True)
class SequentialMonteCarlo(PosteriorSampler):
    """Consistent as `num_particles` grows. One particle is exact where nothing is measured, and where the measured part comes
    first in the order of the model and has no noise: lanes like these have one.

    num_particles: per draw.
    """

    name = "smc"
    needs = Factorises
    exactness = "asymptotic"
    paper = "10.1049/ip-f-2.1993.0015"

    num_particles: Count = 16

    def draw(self, model: Factorises, problem: Problem) -> Draws:
        nothing = problem.num_observed() == 0
        exact = nothing.to(problem.y.device) | (comes_first(model, problem) & (problem.sigma == 0))
        x, facts = torch.empty(problem.shape, device=problem.y.device), {}
        for lanes, num in ((exact, 1), (~exact, self.num_particles)):
            chosen = lanes.nonzero().squeeze(1)
            for index in chosen.split(max(1, ROWS // num)) if len(chosen) else ():
                part = problem.rows(index)
                cloud = sweep(model, part, num)
                x[index] = one_each(cloud, part)
                found = {"resamplings": cloud.resamplings, "smallest_effective_share": cloud.smallest}
                for name, values in found.items():
                    facts.setdefault(name, torch.zeros(len(x), dtype=torch.float64))[index.cpu()] = values.cpu()
        share = exact.double().mean().item()
        return Draws(x, model.nfe * (share + (1.0 - share) * self.num_particles), facts)

    def refusal(self, operator: Operator, sigma: float) -> str:
        return needs_a_mask(operator)
