"""p(x | y) of labels y by baselines: a density p(x) of its own for every label, fitted to the examples of that label alone.

With a Gaussian per label, argmax_y p(x | y) is quadratic discriminant analysis with equal priors (Hastie, Tibshirani &
Friedman 2009, The Elements of Statistical Learning, sec. 4.3); with a mixture per label it is mixture discriminant
analysis (Hastie & Tibshirani 1996, doi 10.1111/j.2517-6161.1996.tb02073.x) with mixtures that share nothing.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Differentiates, Represents, Weighs
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

Rows = Tensor | slice


class ByLabel(GenerativeModel, Weighs, Differentiates, Represents):
    """p(x | y) = p_y(x), where `per_label` has a model of p_y for every label. Without a condition it is empty, and the model
    is p(x).

    A subclass writes p(x), without y: `learn`, `draw`, `log_p`, `log_p_of_u`, `log_w` and `layers`. A label with few
    examples is regularised as a small training set is; one without any keeps the density from before training.
    alone: makes the p(x) of a label, for data without a condition.
    Raises ValueError for conditions other than labels.
    """

    family = "baseline"
    conditional = True
    condition_kinds = ("label",)
    takes_missing = True

    def __init__(self, spec: DataSpec, training: Training | None, alone: Callable[[DataSpec], Self]) -> None:
        super().__init__(spec, training)
        plain = replace(spec, condition=None)
        self.per_label = nn.ModuleList(alone(plain) for _ in range(num_labels(spec)))

    # -- p(x)

    @abstractmethod
    def learn(self, x: Tensor) -> None:
        """Take the examples x (N, *shape) of all ranks into the statistics."""

    @abstractmethod
    def draw(self, num_samples: int) -> Tensor:
        """(num_samples, *shape), of type `spec.dtype`."""

    @abstractmethod
    def log_p(self, x: Tensor, num_samples: int) -> Tensor:
        """(N,) nats, as `log_prob`."""

    @abstractmethod
    def log_p_of_u(self, u: Tensor) -> Tensor:
        """(N,) nats, as `log_density`."""

    @abstractmethod
    def log_w(self, x: Tensor, num_samples: int) -> Tensor:
        """(num_samples, N) nats, as `log_weights`."""

    @abstractmethod
    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """As `features`."""

    # -- p(x | y)

    def observe(self, batch: Batch) -> None:
        """Each p(x) learns from the examples of its label, of all ranks."""
        x = exchange.whole_batch(batch.x)
        for model, rows in self.parts(exchange.whole_batch(batch.y) if self.per_label else None, len(x)):
            model.learn(x[rows])

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        if not self.per_label:
            return self.draw(num_samples)
        return self._joined(lambda model, rows: model.draw(len(rows)), y, num_samples)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats of x (N, *shape), each under the density of its label."""
        return self._joined(lambda model, rows: model.log_p(x[rows], num_samples), y, len(x))

    def log_density(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(u), (N,) nats, normalised; of dequantised data where levels are integers."""
        return self._joined(lambda model, rows: model.log_p_of_u(u[rows]), y, len(u))

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x + noise) for draws of uniform noise, (num_samples, N) nats."""
        return self._joined(lambda model, rows: model.log_w(x[rows], num_samples), y, len(x), dim=1)

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """The layers of p(x) of each example's label."""
        models, rows = self._split(y, len(x))
        found = [model.layers(x[part]) for model, part in zip(models, rows, strict=True)]
        return {name: _in_order([each[name] for each in found], rows) for name in found[0]}

    def parts(self, y: Tensor | None, num: int) -> Iterator[tuple[Self, Rows]]:
        """The p(x) of each label among y (N,), and the rows that have it; without a condition the model itself, and all.

        Raises ValueError for y that are no labels (num,), such as None or shares of labels.
        """
        if not self.per_label:
            yield self, slice(None)
            return
        self.context(y, num)
        if y.is_floating_point():
            raise ValueError(f"y is {y.dtype}: {type(self).__name__} has a density per label, and none between labels")
        for label in y.unique().tolist():
            yield self.per_label[label], (y == label).nonzero()[:, 0]

    def of_one(self, y: Tensor | None) -> Self:
        """The p(x) of one label y (1,); without a condition the model itself. Raises ValueError as `parts` does."""
        return next(self.parts(y, 1))[0]

    def _split(self, y: Tensor | None, num: int) -> tuple[list[Self], list[Rows]]:
        models, rows = zip(*self.parts(y, num), strict=True)
        return list(models), list(rows)

    def _joined(self, value: Callable[[Self, Rows], Tensor], y: Tensor | None, num: int, dim: int = 0) -> Tensor:
        """The values of the rows of each label, in the order of the rows along `dim`."""
        models, rows = self._split(y, num)
        return _in_order([value(model, part) for model, part in zip(models, rows, strict=True)], rows, dim)


def _in_order(values: list[Tensor], rows: list[Rows], dim: int = 0) -> Tensor:
    """One tensor from the values of some rows each; a slice stands for all of them."""
    if isinstance(rows[0], slice):
        return values[0]
    return torch.cat(values, dim).index_select(dim, torch.cat(rows).argsort())


def num_labels(spec: DataSpec) -> int:
    """Labels that a model is conditional on; 0 without such a condition."""
    return spec.condition.size if spec.condition and spec.condition.kind == "label" else 0
