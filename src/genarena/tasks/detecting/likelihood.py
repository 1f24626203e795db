"""Scores from log p(x): alone, its distance from what is typical, less a codec's length, or less that of another model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.tasks.detecting import codecs
from genarena.tasks.detecting.lanes import Mixed, lanes_of_their_own
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.sets import Examples
from genarena.tasks.noise import Noise

LN_2 = 0.6931471805599453


def nll(judge: Judge, examples: Examples, model: GenerativeModel | None = None, name: str = "nll") -> Tensor:
    """-log p(x), or its bound or estimate, (N,) nats, of the model of the judge or of another one."""
    model = model or judge.model
    return judge.per_example(name, examples, lambda x, noise: -log_prob(model, x, noise, judge.draws))


def log_prob(model: GenerativeModel, x: Tensor, noise: Noise, draws: int, y: Tensor | None = None) -> Tensor:
    """(N,) nats with `draws` draws. Bounds whose steps are stratified over a batch (diffusion): over copies of one example, and
    the mean of them."""
    try:
        return model.log_prob(x, y, num_samples=draws)
    except Mixed:
        found = []
        for k in range(len(x)):
            copies = None if y is None else y[k : k + 1].repeat(draws)
            with lanes_of_their_own(noise[k : k + 1], single=True):
                found.append(model.log_prob(x[k : k + 1].repeat(draws, *[1] * (x.dim() - 1)), copies).mean())
        return torch.stack(found)


class NLL(Score):
    """-log p(x) in nats."""

    name = "nll"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return nll(judge, examples)

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"unit_of_score": "nats", "likelihood": judge.model.likelihood.value, "draws": judge.draws}


class Typicality(NLL):
    """|-log p(x) - H|, H the mean of -log p over validation examples: the test of one example at a time."""

    name = "typicality"
    paper = "1906.02994"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return (nll(judge, examples) - nll(judge, judge.val).mean()).abs()


class Complexity(Score):
    """-log_2 p(x) - min(PNG, WebP): bits of the model less bits of the shorter file; both lossless."""

    name = "complexity"
    paper = "1909.11480"

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and codecs.can_be_written(judge.model.spec)

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return nll(judge, examples) / LN_2 - shortest(examples)

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"unit_of_score": "bits", "codecs": list(codecs.CODECS)}


def shortest(examples: Examples) -> Tensor:
    """Bits of the shorter of the two files, (N,)."""
    return torch.stack([codecs.bits(examples.x, codec) for codec in codecs.CODECS]).amin(0)


class Ratio(NLL):
    """log p_b(x) - log p(x), b a background model: the same class, trained on mutated data (`data.mutate`)."""

    name = "likelihood_ratio"
    paper = "1906.02845"
    wants = "background"

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and judge.background is not None

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return nll(judge, examples) - nll(judge, examples, judge.background, "background")


class WAIC(NLL):
    """-(E log p(x) - Var log p(x)) over models that differ in their seed, this one among them."""

    name = "waic"
    paper = "1810.01392"
    wants = "ensemble"

    def fits(self, judge: Judge) -> bool:
        return super().fits(judge) and len(judge.ensemble) > 0

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        others = [nll(judge, examples, model, f"ensemble {k}") for k, model in enumerate(judge.ensemble)]
        every = torch.stack([nll(judge, examples), *others])
        return every.mean(0) + every.var(0)

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"unit_of_score": "nats", "models": 1 + len(judge.ensemble)}


class ClassMax(Score):
    """-max_y log p(x | y) over the labels, of a conditional model."""

    name = "class_max"

    def fits(self, judge: Judge) -> bool:
        model = judge.model
        known = model.spec.condition is not None and model.spec.condition.kind == "label"
        return known and model.likelihood is not Likelihood.NONE

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        model, size = judge.model, judge.model.spec.condition.size

        def best(x: Tensor, noise: Noise) -> Tensor:
            labels = [torch.full((len(x),), label, device=x.device) for label in range(size)]
            return -torch.stack([log_prob(model, x, noise, judge.draws, y) for y in labels]).amax(0)

        return judge.per_example(self.name, examples, best)
