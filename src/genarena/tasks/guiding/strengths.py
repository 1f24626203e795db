"""Samples of labels at strengths of guidance: s = 0 draws from p(x), s = 1 from p(x | y), more goes away from p(x).

Classifier-free guidance: Ho & Salimans 2022, arXiv 2207.12598. Of Gaussian diffusion the guided score is that of
p(x) (p(x | y) / p(x))^s at each noise level; the samples are not from the density of that form on data.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.tasks.augmenting.labels import sampled
from genarena.tasks.base import Algorithm

UNCONDITIONAL, CONDITIONAL = 0.0, 1.0


@dataclass(frozen=True)
class Drawn:
    """x: levels (N, C, H, W); failures: how many were not finite, which are grey in x. nfe: network evaluations of a sample."""

    x: Tensor
    failures: int
    nfe: int


@dataclass(frozen=True)
class Strengths(Algorithm):
    """How a conditional model draws at a strength of guidance."""

    needs = GenerativeModel

    def fits(self, model: type[GenerativeModel]) -> bool:
        return model.conditional

    @property
    def wanted(self) -> tuple[str, ...]:
        return ("takes labels",)

    @abstractmethod
    def possible(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """Those of the strengths at which the model can draw."""

    def draw(self, model: GenerativeModel, y: Tensor, s: float, seed: int) -> Drawn:
        """A sample of each label y (N,). Equal seeds give equal noise at all strengths."""
        with guided(model, s):
            x, failures = sampled(model, len(y), y, seed)
            return Drawn(x, failures, model.nfe)


@dataclass(frozen=True)
class ClassifierFree(Strengths):
    """The prediction without the label, and s times the difference to that with it."""

    name = "classifier_free"
    paper = "2207.12598"
    exactness = "heuristic"

    def fits(self, model: type[GenerativeModel]) -> bool:
        return super().fits(model) and model.guides

    @property
    def wanted(self) -> tuple[str, ...]:
        return ("takes labels and has a sampler with guidance",)

    def possible(self, strengths: Sequence[float]) -> tuple[float, ...]:
        return tuple(strengths)


@dataclass(frozen=True)
class Unguided(Strengths):
    """x ~ p(x | y) as the model draws it, s = 1: of models that have no prediction without the label."""

    name = "unguided"
    exactness = "exact"

    def possible(self, strengths: Sequence[float]) -> tuple[float, ...]:
        return (CONDITIONAL,)


def can_be_guided(model: GenerativeModel) -> bool:
    """Whether the model has guidance, and has learned what is without a label."""
    learned = model.conditioning is not None and model.conditioning.dropout > 0.0
    return learned and model.guides


def strengths_for(model: GenerativeModel, asked: Strengths | None) -> Strengths:
    """`classifier_free` for a model that has learned what is without a condition, else `unguided`; or the one asked for, for
    which ValueError is raised if it does not fit."""
    found = asked or (ClassifierFree() if can_be_guided(model) else Unguided())
    if isinstance(found, ClassifierFree) and not can_be_guided(model):
        raise ValueError(
            f"algorithm={found.name}: {type(model).__name__} has no prediction without a {model.spec.condition.kind} (no "
            "guidance, or model.condition_dropout=0); use algorithm=unguided"
        )
    return found


@contextmanager
def guided(model: GenerativeModel, s: float) -> Iterator[None]:
    """The model with its sampler at strength s; afterwards it has its own again. A model without guidance stays as it is."""
    if not model.guides:
        yield
        return
    own = model.sampler
    model.use(replace(own, guidance=s))
    try:
        yield
    finally:
        model.use(own)


def rows_of_labels(num_labels: int, columns: int) -> Tensor:
    """(num_labels * columns,) int64: a row of each label."""
    return torch.arange(num_labels).repeat_interleave(columns)
