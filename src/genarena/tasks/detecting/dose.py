"""Density of states: how usual are several statistics of an example together?

Morningstar et al. 2021, arXiv 2006.09273: DoSE, with kernel density estimates or a one-class support vector machine. Differs
from the paper: fitted on validation examples; Scott's bandwidth for every statistic; scikit-learn's defaults of the machine.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Differentiates, Emits, Encodes
from genarena.tasks.detecting.denoising import DenoisingLoss, ScoreNorm
from genarena.tasks.detecting.inference import KL, Reconstruction, ReconstructionError
from genarena.tasks.detecting.likelihood import NLL
from genarena.tasks.detecting.score import Judge, Score, has_likelihood
from genarena.tasks.detecting.sets import Examples


class LatentNorm(Score):
    """|z|^2 of the code of a bijection, which is standard normal."""

    name = "latent_norm"
    needs = (Encodes, Emits)

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and judge.model.bijective and has_likelihood(judge.model)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return judge.per_example(self.name, examples, lambda x, _: judge.model.encode(x).flatten(1).square().sum(1))


class LogDet(LatentNorm):
    """-log |det df/dx| in nats, up to a constant, where levels stand for the middle of their cells."""

    name = "log_det"
    needs = (Encodes, Emits, Differentiates)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model = judge.model

        def of(x: Tensor, _: object) -> Tensor:
            return model.log_prior(model.encode(x).flatten(1)) - model.log_density(to_space(x, model.spec))

        return judge.per_example(self.name, examples, of)


STATISTICS: tuple[type[Score], ...] = (
    NLL,
    LatentNorm,
    LogDet,
    KL,
    Reconstruction,
    ReconstructionError,
    DenoisingLoss,
    ScoreNorm,
)


class DoSE(Score):
    """-sum_j log q_j(T_j(x)), q_j a kernel density estimate of the statistic T_j over validation examples; at least two."""

    name = "dose"
    paper = "2006.09273"

    def statistics(self, judge: Judge) -> list[Score]:
        return [each for each in (kind() for kind in STATISTICS) if each.fits(judge)]

    @classmethod
    def may_fit(cls, model: type[GenerativeModel]) -> bool:
        return sum(each.may_fit(model) for each in STATISTICS) >= 2

    @classmethod
    def wanted(cls) -> str:
        return f"has two of {', '.join(each.name for each in STATISTICS)}"

    def fits(self, judge: Judge) -> bool:
        return len(self.statistics(judge)) >= 2

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return sum(-log_kernel_density(of(judge, judge.val), of(judge, examples)) for of in self.statistics(judge))

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"statistics": [each.name for each in self.statistics(judge)], "validation_examples": len(judge.val)}


class DoSESVM(DoSE):
    """Minus the decision function of a one-class support vector machine on the statistics, each in standard deviations from its
    mean over validation examples. Radial kernel of scikit-learn's default width, nu = 0.5."""

    name = "dose_svm"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        from sklearn.svm import OneClassSVM

        val, found = (
            torch.stack([of(judge, some) for of in self.statistics(judge)], 1) for some in (judge.val, examples)
        )
        mean, scale = val.mean(0), val.std(0)
        machine = OneClassSVM().fit(((val - mean) / scale).numpy())
        return -torch.from_numpy(machine.decision_function(((found - mean) / scale).numpy()))


def log_kernel_density(sample: Tensor, at: Tensor) -> Tensor:
    """log of the Gaussian kernel density estimate of numbers (M,), at numbers (N,); bandwidth sd M^(-1/5) (Scott 1992)."""
    width = sample.std() * len(sample) ** -0.2
    distance = (at[:, None] - sample) / width
    norm = math.log(len(sample)) + width.log() + 0.5 * math.log(2.0 * math.pi)
    return torch.logsumexp(-0.5 * distance.square(), 1) - norm
