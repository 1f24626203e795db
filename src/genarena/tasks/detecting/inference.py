"""Scores of an encoder and a decoder: the two terms of the bound, and the error of reconstruction."""

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import to_space
from genarena.models.capabilities import Decodes, DiagonalNormal, Emits, Encodes, Infers
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.sets import Examples


def kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)), nats, summed over the last dimension."""
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(-1)


def log_likelihood(distribution: PixelDistribution | DiagonalNormal, x: Tensor) -> Tensor:
    """log p(x | z) (N,) nats."""
    return distribution.log_prob(x).flatten(1).sum(1)


class KL(Score):
    """KL(q(z|x) || p(z)) in nats."""

    name = "kl"
    needs = (Infers,)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        def of(x: Tensor, _: object) -> Tensor:
            q = judge.model.posterior(x)
            return kl(q.mean, q.log_var)

        return judge.per_example(self.name, examples, of)


class Reconstruction(KL):
    """-log p(x | z) in nats, z the mean of q(z|x)."""

    name = "reconstruction"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        def of(x: Tensor, _: object) -> Tensor:
            return -log_likelihood(judge.model.likelihood_of(judge.model.posterior(x).mean), x)

        return judge.per_example(self.name, examples, of)


class ReconstructionError(Score):
    """Mean squared difference of x and decode(encode(x)), of a model that loses something by it."""

    name = "reconstruction_error"
    needs = (Encodes, Decodes)

    def fits(self, judge: Judge) -> bool:
        bijective = isinstance(judge.model, Emits) and judge.model.bijective
        return super().fits(judge) and not bijective

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model = judge.model

        def of(x: Tensor, _: object) -> Tensor:
            difference = to_space(model.decode(model.encode(x)), model.spec) - to_space(x, model.spec)
            return torch.mean(difference.flatten(1).square(), 1)

        return judge.per_example(self.name, examples, of)
