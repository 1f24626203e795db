"""Scores of models without a likelihood: an energy, a critic, and the distance from what a generator can make."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.capabilities import Differentiates, Discriminates, Emits
from genarena.tasks.detecting.score import Judge, Score, is_unnormalised
from genarena.tasks.detecting.sets import Examples
from genarena.tasks.noise import Noise

STEPS, RATE, STARTS = 100, 0.1, 2


class Energy(Score):
    """-log p(x) up to a constant, of a density that is not normalised."""

    name = "energy"
    needs = (Differentiates,)

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and is_unnormalised(judge.model)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model = judge.model
        return judge.per_example(self.name, examples, lambda x, _: -model.log_density(to_space(x, model.spec)))


class Discriminator(Score):
    """-f(x), f the critic that was trained against the generator: it knows what the generator got wrong, and no more."""

    name = "discriminator"

    needs = (Discriminates,)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model = judge.model
        return judge.per_example(self.name, examples, lambda x, _: -model.discriminate(to_space(x, model.spec)))


class Projection(Score):
    """min_z mean |x - G(z)|^2 by 100 steps of Adam from two starts z ~ N(0, I) (AnoGAN without the discriminator).

    Schlegl et al. 2017, arXiv 1703.05921. Not for bijections, which make everything.
    """

    name = "latent_projection"
    needs = (Emits,)
    paper = "1703.05921"
    searches = True

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and not judge.model.bijective

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model = judge.model
        return judge.per_example(self.name, examples, lambda x, noise: projected(model, to_space(x, model.spec), noise))

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"steps": STEPS, "learning_rate": RATE, "starts": STARTS}


def projected(model: Emits, x: Tensor, noise: Noise) -> Tensor:
    """The smallest error on the way, (N,)."""
    best = torch.full((len(x),), torch.inf, device=x.device)
    for _ in range(STARTS):
        z = noise.normal(torch.empty(len(x), model.latent_dim, device=x.device)).requires_grad_()
        optimiser = torch.optim.Adam([z], lr=RATE)
        for _ in range(STEPS):
            with torch.enable_grad():
                error = (model.emit(z) - x).flatten(1).square().mean(1)
                (z.grad,) = torch.autograd.grad(error.sum(), z)
            best = torch.fmin(best, error.detach())
            optimiser.step()
    return best
