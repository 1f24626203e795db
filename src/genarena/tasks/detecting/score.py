"""The contracts: a score, higher for what is more anomalous, and the model that it is computed from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Differentiates
from genarena.tasks.detecting.lanes import lanes_of_their_own
from genarena.tasks.detecting.sets import Examples
from genarena.tasks.noise import Noise

LANES = 100  # examples at once


def is_unnormalised(model: GenerativeModel) -> bool:
    """Whether log p(x) is known up to a constant: that of all orders is the same, and costs a long estimate."""
    return isinstance(model, Differentiates) and model.likelihood in (Likelihood.ESTIMATE, Likelihood.NONE)


def has_likelihood(model: GenerativeModel) -> bool:
    """Whether the model has log p(x), with its constant, without a condition."""
    known = model.likelihood is not Likelihood.NONE and not is_unnormalised(model)
    return known and model.spec.condition is None


@dataclass(frozen=True)
class Judge:
    """A model, the validation examples of its data, and what else scores need.

    background: a model of the same class, trained on mutated data; ensemble: models of other seeds. Draws: of random numbers
    per example, where a score has any.
    """

    model: GenerativeModel
    val: Examples
    background: GenerativeModel | None = None
    ensemble: tuple[GenerativeModel, ...] = ()
    draws: int = 1
    known: dict[tuple, Tensor] = field(default_factory=dict)  # (statistic, set) -> values

    def per_example(
        self, name: str, examples: Examples, statistic: Callable[[Tensor, Noise], Tensor], at_once: int = LANES
    ) -> Tensor:
        """A statistic (n,) of examples (n, *shape), in batches; (N,) or (N, K) float64.

        Each example has random numbers of its own, also those that a model draws from torch: a value does not depend on the
        batch. Computed once per set.
        """
        key = (name, examples.name)
        if examples.name and len(self.known.get(key, ())) >= len(examples):
            return self.known[key][: len(examples)]
        parts = []
        for first in range(0, len(examples), at_once):
            some = slice(first, first + at_once)
            noise = Noise.of([(0, name, content) for content in examples.contents[some]])
            with torch.no_grad(), lanes_of_their_own(noise):
                parts.append(statistic(examples.x[some].to(self.model.device), noise).double().cpu())
        self.known[key] = torch.cat(parts)
        return self.known[key]


class Score(ABC):
    """A way to tell what a model has not learned.

    needs: capabilities, all of which the model has; (): a likelihood. paper: arXiv id, or a DOI. wants: an option of `Scores`
    that it needs. searches: one value costs a search, so that a part of each set is scored, `Scores.num_searched`.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    needs: ClassVar[tuple[type, ...]] = ()
    wants: ClassVar[str] = ""
    searches: ClassVar[bool] = False

    @classmethod
    def may_fit(cls, model: type[GenerativeModel]) -> bool:
        """Whether models of a class may have what it needs. Where the kind of likelihood depends on the data, they may."""
        return all(issubclass(model, each) for each in cls.needs) and (
            bool(cls.needs) or model.likelihood is not Likelihood.NONE
        )

    @classmethod
    def wanted(cls) -> str:
        """What a model must have, as "a model that ..."."""
        return " and ".join(each.__name__ for each in cls.needs) or "has a likelihood"

    def fits(self, judge: Judge) -> bool:
        """Whether the model has what it needs, and gives it without a condition."""
        model = judge.model
        has = all(isinstance(model, each) for each in self.needs)
        return has and (bool(self.needs) or has_likelihood(model)) and model.spec.condition is None

    @abstractmethod
    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        """(N,) float64, higher for what is more anomalous. No value depends on other examples that are scored."""

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        """Of its record: settings and units."""
        return {}
