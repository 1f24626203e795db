"""Augmentation: do samples of a model make a classifier better, and can one be trained on them alone?

CAS (Ravuri & Vinyals 2019, arXiv 1905.10887): accuracy on real test images after training on as many synthetic images as there
are real ones. NAS: after training on both, half of each batch real. GAN-test (Shmelkov, Schmid & Alahari 2018, arXiv
1807.09499): the share of the synthetic images that classifiers of real images label as asked.

Every classifier takes the same number of steps, so that more data is not more training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.data.splitting import stratified
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed, Several
from genarena.spec import DataSpec
from genarena.tasks.augmenting import classifying, scores
from genarena.tasks.augmenting.classifying import Budget, Change, Trained
from genarena.tasks.augmenting.floors import copies, gaussian_of_classes
from genarena.tasks.augmenting.fractions import Labelled, labelled, whole
from genarena.tasks.augmenting.labels import Conditional, LabelledSamples, Pseudo
from genarena.tasks.augmenting.per_class import PerClass
from genarena.tasks.base import COLUMNS, Line, Outcome, Record, Shown, Task

MIRRORED = ("fashion_mnist", "cifar10", "cifar100", "celeba")  # sets whose images may be mirrored
PREFIX = "labels_"  # of a case


@dataclass(frozen=True)
class Augment(Task):
    """label_fraction: shares of the training labels that are known, a case each: stratified and nested. num_seeds: classifiers
    of each kind. steps, batch_size: of every classifier. num_synthetic: samples; null: as many as there are labelled images.
    seed: of the fractions, the samples and the classifiers.
    """

    title = "Augmentation"
    table = "augmentation"
    kind = LabelledSamples
    algorithms: ClassVar = (Conditional, Pseudo, PerClass)

    label_fraction: Sequence[float] = (0.01, 0.1, 1.0)
    num_seeds: Count = 5
    steps: Count = 150
    batch_size: Several = 64
    num_synthetic: Count | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for share in self.label_fraction:
            if not 0.0 < share <= 1.0:
                raise ValueError(f"label_fraction={share}: expected numbers above 0, at most 1")
        self.refuse_repeated("label_fraction")
        object.__setattr__(self, "label_fraction", tuple(sorted(map(float, self.label_fraction))))

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(f"{PREFIX}{share:g}" for share in self.label_fraction)

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        if spec.num_classes is None:
            raise ValueError("needs images with labels, and the data of this run has none")

    def examine(self, data: Mapping[str, Any]) -> None:
        if isinstance(self.algorithm, PerClass):
            self.algorithm.check(data)
        elif data.get("only") is not None:
            raise ValueError(
                f"the run was trained with data.only={data['only']}: algorithm=per_class algorithm.runs=<folder above a run of "
                "each label>"
            )
        if data.get("label_fraction") is not None and self.seed:
            raise ValueError(f"seed={self.seed}: expected 0, the one of data.label_fraction={data['label_fraction']}")

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> LabelledSamples:
        """`conditional` for a model of p(x | label), else `pseudo`; `per_class` where it is asked for."""
        knows = model.spec.condition is not None and model.spec.condition.kind == "label"
        found = self.algorithm or (Conditional() if knows else Pseudo())
        if isinstance(found, Conditional) != knows:
            having = "has labels" if knows else "was trained without data.condition=label"
            raise ValueError(
                f"algorithm={found.name}: the model {having}; use algorithm={'conditional' if knows else 'pseudo'}"
            )
        if isinstance(found, Pseudo) and model.conditioning is not None and not model.conditioning.dropout:
            kind = model.spec.condition.kind
            raise ValueError(
                f"the model was trained with data.condition={kind} without dropout of conditions: it draws nothing without "
                f"the {kind}"
            )
        return found

    def settings(self, case: str) -> dict[str, Any]:
        fields = ("num_seeds", "steps", "batch_size", "num_synthetic", "seed")
        return {"label_fraction": _share(case)} | {name: getattr(self, name) for name in fields}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {
            "classifier": f"domain classifier {recipe_hash()}, AdamW, one cycle, last weights",
            "lr": [classifying.LR, classifying.WEIGHT_DECAY],
            "mixup": classifying.MIXUP,
            "shift": classifying.SHIFT,
        }

    def solve(self, model: GenerativeModel, algorithm: LabelledSamples, data: ArenaDataModule, case: str) -> Outcome:
        share, saw, data = _share(case), data.label_fraction, whole(data)
        known = labelled(data.train, data.val, share, self.seed)
        trials = Trials(self, data.spec, known.real, data.test[:])
        wanted = _labels(known.real.y, self.num_synthetic or known.real.size, self.seed)
        drawn = algorithm.draw(model, wanted, trials.classify, self.seed)
        classes = gaussian_of_classes(data.spec, known.real, wanted, self.seed)
        size = data.train.size if saw is None else int(stratified(data.train.y, saw).sum())
        facts = _facts(algorithm, size, known, drawn.samples.size, drawn.failures)
        every = "all " * (size == data.train.size)
        part = algorithm.name if size == known.real.size else f"{algorithm.name}, model saw {every}{size:,} images"
        lines = {
            part: trials.synthetic(drawn.samples, "labelled by the classifier" if algorithm.uses_classifier else "")
        }
        floors = {"real": trials.changed(None), "real + shift": trials.changed(classifying.shift)}
        if data.name in MIRRORED:
            floors["real + flip"] = trials.changed(classifying.flip)
        floors["mixup"] = trials.changed(classifying.mixup, "1710.09412")
        floors["class Gaussian"] = trials.synthetic(classes)
        floors["memoriser"] = trials.synthetic(copies(known.real, wanted, self.seed))
        floors["heldout"] = replace(trials.synthetic(known.others), is_real=True)
        assert len(trials.steps) == 1, f"classifiers took {sorted(trials.steps)} steps"
        rows = {"class Gaussian": classes, algorithm.name: drawn.samples, "real": known.real}
        pictures = {"samples.png": _picture(rows, data.spec)}
        shown = {"samples.png": Shown(tuple(rows))}
        return Outcome(lines, floors, data.test.size, facts, pictures, shown, data.facts)


@dataclass
class Trials:
    """Trains classifiers and scores them. steps: all numbers of steps that were taken."""

    task: Augment
    spec: DataSpec
    real: Split
    test: Split
    steps: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.of_real = cache(lambda: self._trained([self.real]))
        self.right_of_real = cache(lambda: self._right(self.of_real(), self.test))

    def classify(self, x: Tensor) -> Tensor:
        """(N,): the largest mean probability over the classifiers of the real images."""
        return torch.stack([each.probabilities(x) for each in self.of_real()]).mean(0).argmax(1)

    def changed(self, change: Change | None, paper: str = "") -> Line:
        """The accuracy with real images, altered in training."""
        made = self.of_real() if change is None else self._trained([self.real], change)
        record = self._accuracy("nas", self._right(made, self.test))
        return Line({"nas": record} | ({} if change else {"cas": self._accuracy("cas", self.right_of_real())}), paper)

    def synthetic(self, samples: Split, no_test: str = "") -> Line:
        """The metrics of labelled samples. no_test: why they have no GAN-test."""
        facts = {"synthetic": samples.size}
        metrics = {"nas": self._accuracy("nas", self._right(self._trained([self.real, samples]), self.test), facts)}
        metrics["cas"] = self._accuracy("cas", self._right(self._trained([samples]), self.test), facts)
        if no_test:
            metrics["gan_test"] = scores.absent("gan_test", no_test, facts)
        else:
            metrics["gan_test"] = scores.accuracy("gan_test", self._right(self.of_real(), samples), facts)
        return Line(metrics)

    def _trained(self, sets: Sequence[Split], change: Change | None = None) -> list[Trained]:
        budget = Budget(self.task.steps, self.task.batch_size)
        seeds = range(self.task.seed, self.task.seed + self.task.num_seeds)
        made = [classifying.train(self.spec, sets, budget, seed, change) for seed in seeds]
        self.steps |= {each.steps for each in made}
        return made

    def _right(self, made: Sequence[Trained], split: Split) -> Tensor:
        return torch.stack([each.probabilities(split.x).argmax(1) == split.y for each in made])

    def _accuracy(self, name: str, right: Tensor, facts: dict[str, Any] | None = None) -> Record:
        facts = {"steps": self.task.steps, "real": self.real.size} | (facts or {})
        return scores.accuracy(name, right, facts, self.right_of_real())


def _labels(y: Tensor, num: int, seed: int) -> Tensor:
    """(num,) labels as frequent as in y: y itself, shuffled, as often as needed."""
    rounds = [
        y[torch.randperm(len(y), generator=seeded_generator(seed, k, "labels"))] for k in range(-(-num // len(y)))
    ]
    return torch.cat(rounds)[:num]


def _facts(algorithm: LabelledSamples, size: int, known: Labelled, num: int, failures: int) -> dict[str, Any]:
    """size: number of images that the model saw."""
    saw = f"{size:,} training images, {'all' if not algorithm.uses_classifier else 'none'} with their labels"
    return {
        "model_saw": saw,
        "labelled": known.real.size,
        "synthetic": num,
        "not_finite": failures,
        "labels_from": "classifiers of the labelled images" if algorithm.uses_classifier else "the condition asked for",
        "heldout_from": known.others_from,
        "heldout": known.others.size,
    }


def _share(case: str) -> float:
    return float(case.removeprefix(PREFIX))


def _picture(shown: dict[str, Split], spec: DataSpec) -> Tensor:
    """A row of images per set, sorted by label: (rows * COLUMNS, C, H, W) of 256 levels."""
    rows = []
    for part in shown.values():
        places = torch.linspace(0, part.size - 1, COLUMNS).round().long()
        rows.append(part.x[part.y.argsort(stable=True)[places]])
    return spec.pictures(torch.cat(rows))
