"""What probes make of codes: accuracies on test examples with intervals, and how the codes lie.

Linear probes see codes standardised by the statistics of all training codes; neighbours are those of the codes as they are, and
of the whitened principal components, which no invertible linear map changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.statistics import linear_probe
from genarena.statistics.code_geometry import Components, Scaling, alignment, uniformity
from genarena.statistics.intervals import t_half_width, t_quantile
from genarena.statistics.knn_probe import by_cosine, by_majority
from genarena.statistics.linear_probe import Probe
from genarena.tasks.base import Record
from genarena.tasks.representing.codes import NARROW
from genarena.tasks.representing.examples import DRAWS, Examples, Three

TITLES = {
    "linear": "linear probe, accuracy",
    "knn": "20 nearest neighbours, accuracy",
    "linear_pca32": "linear probe of 32 principal components",
    "knn_pca32": "20 neighbours in 32 principal components",
    "knn_whitened": "20 neighbours in 32 components, whitened",
    "knn_cosine": "200 neighbours by cosine, T = 0.1",
}
GEOMETRY = {
    "effective_rank": ("effective rank", None),
    "alignment": ("alignment within labels, unit vectors", None),
    "uniformity": ("uniformity, unit vectors", None),
}
CHOICE_ROWS, CHOICE_CS = 2_000, (1e-2, 1e-1, 1.0)  # training examples, and values of C, with which layers are compared
SHUFFLED_ROWS, SHUFFLED_C = 2_000, 0.01  # training examples whose labels are permuted, and the C of their probes


@dataclass(frozen=True)
class Bench:
    """Probes on examples. per_class: numbers of labels of the few-label probes."""

    examples: Examples
    per_class: Sequence[int]

    def measure(self, codes: Three) -> "Measured":
        return Measured(self, standardised(codes), centred(codes))

    @property
    def few(self) -> tuple[int, ...]:
        """Those of `per_class` that every label has examples for."""
        return tuple(each for each in self.per_class if each <= self.examples.fewest)

    def on_validation(self, codes: Three) -> dict[str, float]:
        """Accuracies of a linear probe and of neighbours on validation examples, from the first training examples. No test
        example takes part."""
        y, some = self.examples.y, slice(0, CHOICE_ROWS)
        scaled, plain = standardised(codes), centred(codes)
        linear = linear_probe.chosen((scaled.train[some], y.train[some]), (scaled.val, y.val), CHOICE_CS)
        near = by_majority(plain.train[some], y.train[some], plain.val)
        return {
            "linear": linear.accuracy(scaled.val, y.val),
            "knn": (near == y.val).double().mean().item(),
        }


@dataclass(frozen=True)
class Measured:
    """scaled: codes of zero mean and unit variance. plain: of zero mean. Both by the statistics of the training codes."""

    bench: Bench
    scaled: Three
    plain: Three

    @cached_property
    def linear(self) -> Probe:
        return self._chosen(self.scaled)

    @cached_property
    def right(self) -> dict[str, Tensor]:
        """Whether each test example is classified right, bool (N,), by probe."""
        y, reduced = self.bench.examples.y, three(Components.of(self.plain.train, NARROW), self.plain)
        narrow = standardised(reduced)
        found = {
            "linear": self.linear.predict(self.scaled.test),
            "knn": by_majority(self.plain.train, y.train, self.plain.test),
            "linear_pca32": self._chosen(narrow).predict(narrow.test),
            "knn_pca32": by_majority(reduced.train, y.train, reduced.test),
            "knn_whitened": by_majority(narrow.train, y.train, narrow.test),
            "knn_cosine": by_cosine(self.plain.train, y.train, self.plain.test),
        }
        return {name: labels == y.test for name, labels in found.items()}

    @cached_property
    def few(self) -> dict[int, list[float]]:
        """Accuracies of linear probes, C = 1, by the number of labels of each class; one for each draw."""
        y = self.bench.examples.y
        found = {}
        for number in self.bench.few:
            drawn = [self.bench.examples.few(number, draw) for draw in range(DRAWS)]
            probes = [linear_probe.fitted(self.scaled.train[rows], y.train[rows]) for rows in drawn]
            found[number] = [probe.accuracy(self.scaled.test, y.test) for probe in probes]
        return found

    def shuffled(self) -> dict[str, Record]:
        """Of probes that are taught permuted labels of the first training examples, once per draw: chance, unless labels leak.

        One permutation says little: all examples of a cluster are right or wrong together.
        """
        y, found = self.bench.examples.y, {"linear": [], "knn": []}
        for draw in range(DRAWS):
            wrong = y.train[:SHUFFLED_ROWS]
            wrong = wrong[torch.randperm(len(wrong), generator=seeded_generator("shuffled", draw))]
            probe = linear_probe.fitted(self.scaled.train[: len(wrong)], wrong, SHUFFLED_C)
            found["linear"].append(probe.accuracy(self.scaled.test, y.test))
            near = by_majority(self.plain.train[: len(wrong)], wrong, self.plain.test)
            found["knn"].append((near == y.test).double().mean().item())
        return {name: over_draws(TITLES[name], values, len(self.plain.test)) for name, values in found.items()}

    def records(self) -> dict[str, Record]:
        """Accuracies, few labels, and the geometry of the test codes."""
        width = self.plain.train.shape[1]
        probe = {"c": self.linear.c, "iterations": self.linear.iterations, "converged": self.linear.converged}
        facts = {"width": width}
        found = {name: accuracy(name, right, facts) for name, right in self.right.items()}
        found["linear"] |= probe
        found |= {
            f"few_{number}": over_draws(few_title(number), values, len(self.plain.test))
            for number, values in self.few.items()
        }
        y, test = self.bench.examples.y, self.plain.test
        rank = Components.of(self.plain.train, NARROW).effective_rank
        geometry = {"effective_rank": rank, "alignment": alignment(test, y.test), "uniformity": uniformity(test)}
        for name, value in geometry.items():
            title, higher = GEOMETRY[name]
            found[name] = {"value": value, "title": title, "higher_is_better": higher, "n": len(test), **facts}
        return found

    def _chosen(self, codes: Three) -> Probe:
        y = self.bench.examples.y
        return linear_probe.chosen((codes.train, y.train), (codes.val, y.val))


def standardised(codes: Three) -> Three:
    return three(Scaling.of(codes.train), codes)


def centred(codes: Three) -> Three:
    mean = codes.train.double().mean(0)
    return Three(*((part.double() - mean).float() for part in codes))


def three(change: Any, codes: Three) -> Three:
    return Three(*(change(part) for part in codes))


def accuracy(name: str, right: Tensor, facts: Mapping[str, Any]) -> Record:
    """right: bool (N,). The interval is that of the test examples."""
    values = right.double()
    half = t_quantile(len(values) - 1) * values.std().item() / len(values) ** 0.5
    record = {"value": values.mean().item(), "ci95_half_width": half, "n": len(values)}
    return record | {"title": TITLES[name], "higher_is_better": True} | dict(facts)


def over_draws(title: str, values: Sequence[float], num: int) -> Record:
    """The interval is that of the mean over draws of labels. num: test examples."""
    record = {"value": sum(values) / len(values), "ci95_half_width": t_half_width(values), "of_each": list(values)}
    return record | {"title": title, "higher_is_better": True, "draws": len(values), "n": num}


def few_title(number: int) -> str:
    return f"linear probe, {number} label{'s' * (number > 1)} per class"


def margin(right: Tensor, over: str, other: Tensor) -> Record:
    """The difference of two accuracies, test example by test example."""
    gaps = right.double() - other.double()
    half = t_quantile(len(gaps) - 1) * gaps.std().item() / len(gaps) ** 0.5
    return {"over": over, "value": gaps.mean().item(), "ci95_half_width": half}
