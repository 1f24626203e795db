"""Labelled samples of a model: of the labels asked for, or labelled afterwards by classifiers."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Enumerates
from genarena.options.values import NonNegative
from genarena.tasks.base import Algorithm, Exactness

ROWS = 500  # samples at once


@dataclass(frozen=True)
class Drawn:
    """failures: samples that were not finite; they are grey in `samples`."""

    samples: Split
    failures: int


@dataclass(frozen=True)
class LabelledSamples(Algorithm):
    """How samples get labels. uses_classifier: the labels are those of a classifier of the labelled images."""

    needs = GenerativeModel
    uses_classifier = False

    @abstractmethod
    def draw(self, model: GenerativeModel, y: Tensor, classify: Callable[[Tensor], Tensor], seed: int) -> Drawn:
        """As many samples as y (N,) has labels. classify: levels (N, C, H, W) to labels (N,)."""


@dataclass(frozen=True)
class Conditional(LabelledSamples):
    """x ~ p(x | y), with labels as frequent as in the labelled images.

    guidance: of the model's sampler, in place of its own; 1 draws from p(x | y), more is away from p(x).
    """

    name = "conditional"
    paper = "1905.10887"

    guidance: NonNegative | None = None

    @property
    def exactness(self) -> Exactness:
        return "exact" if self.guidance in (None, 1.0) else "heuristic"

    def draw(self, model: GenerativeModel, y: Tensor, classify: Callable[[Tensor], Tensor], seed: int) -> Drawn:
        if self.guidance is not None:
            if not model.guides:
                raise ValueError(f"algorithm.guidance={self.guidance:g}: {type(model).__name__} has no guidance")
            model.use(replace(model.sampler, guidance=self.guidance))
        x, failures = sampled(model, len(y), y, seed)
        return Drawn(Split(x, y), failures)


@dataclass(frozen=True)
class Pseudo(LabelledSamples):
    """x ~ p(x), labelled by classifiers of the labelled images: what these know leaks into the labels, and the numbers say how
    well samples carry it, not whether the model knows the classes."""

    name = "pseudo"
    exactness = "heuristic"
    uses_classifier = True

    def draw(self, model: GenerativeModel, y: Tensor, classify: Callable[[Tensor], Tensor], seed: int) -> Drawn:
        x, failures = sampled(model, len(y), None, seed)
        return Drawn(Split(x, classify(x)), failures)


@torch.no_grad()
def sampled(model: GenerativeModel, num: int, y: Tensor | None, seed: int) -> tuple[Tensor, int]:
    """Levels (num, C, H, W) on the CPU, and how many were not finite; those are grey. The caller's random state stays."""
    rows = num if isinstance(model, Enumerates) else ROWS  # those draw without replacement, all at once
    spec, parts = model.spec, []
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for first in range(0, num, rows):
            size = min(rows, num - first)
            given = None if y is None else y[first : first + size].to(model.device)
            parts.append(model.sample(size, given).cpu())
    x = torch.cat([part.float() for part in parts])
    broken = ~x.flatten(1).isfinite().all(1)
    x[broken] = (spec.num_levels - 1) // 2
    return x.to(spec.dtype), int(broken.sum())
