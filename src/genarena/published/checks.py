"""Results of checks: a computed value, its reference, and whether they agree."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation.asked import load_metric
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.spec import DataSpec


@dataclass(frozen=True)
class Check:
    """A computed value, a reference, and the tolerance: the largest difference that still counts as agreement.

    against: the source of the reference, as text.
    one_sided: `value` is a lower bound; it may not exceed `reference` by more than the tolerance.
    """

    title: str
    value: float
    against: str
    reference: float
    tolerance: float
    one_sided: bool = False

    @property
    def difference(self) -> float:
        return self.value - self.reference

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance if self.one_sided else abs(self.difference) <= self.tolerance

    @property
    def text(self) -> str:
        sign = "<=" if self.one_sided else "="
        return (
            f"{'ok    ' if self.holds else 'WRONG '} {self.title}: {self.value:.10g} {sign} {self.reference:.10g} "
            f"({self.against}), difference {self.difference:.1e}, allowed {self.tolerance:.0e}"
        )


@dataclass(frozen=True)
class Missing:
    """A check that cannot be made on this machine, and the reason."""

    title: str
    reason: str
    holds: bool = True

    @property
    def text(self) -> str:
        return f"absent  {self.title}: {self.reason}"


Checks = Callable[[], Iterator[Check | Missing]]


def of(*metrics: str) -> Callable[[Checks], Checks]:
    """Marks a function of checks, and names the metrics whose value they compare. Every metric is named by one."""

    def marked(make: Checks) -> Checks:
        make.metrics = metrics
        return make

    return marked


class Given(ArenaDataModule):
    """Given examples (N, *shape): the training, the validation and the test split."""

    name = "given"

    def __init__(self, spec: DataSpec, *splits: Tensor) -> None:
        super().__init__(spec)
        self.splits = splits
        self.setup()

    def load(self) -> tuple[Split, Split, Split]:
        return tuple(map(Split, self.splits))


def by_evaluation(
    model: GenerativeModel, data: ArenaDataModule, metric: str, num_samples: int = 1, **options: Any
) -> float:
    """The value of a metric as a run gets it; NaN, which no check allows, if it has none. options: the metric's own."""
    sizes = {"evidence.samples.num_samples": num_samples, "evidence.examples.num_test": data.test.size}
    chosen = sizes | {f"metric.{metric}.{option}": value for option, value in options.items()}
    value = evaluate(model.eval(), data, [metric], EvaluationSettings(), chosen, progress=False).metrics[metric][
        "value"
    ]
    return float("nan") if value is None else value


def by_pieces(metric: str, **pieces: Any) -> float:
    """The value of a metric from given pieces of evidence: those that its `update` names, by their whole name or, for
    `real_...` and `fake_...`, by `real` and `fake`. Those with a default may be left out."""
    made = load_metric(metric)()
    own = inspect.signature(made.update).parameters
    found = {name: pieces.get(name, pieces.get(name.split("_")[0])) for name in own}
    made.update(**{name: piece for name, piece in found.items() if piece is not None})
    return made.compute()


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers of this shape, float64; the same at every call with the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
