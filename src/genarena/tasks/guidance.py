"""Guidance: what do labels become in samples, and what does more guidance cost?

A line per strength s of classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): class accuracy rises with s, recall
falls. Conditional models without guidance have one line, s = 1, so that the table compares all families.

The table is ordered by the Frechet joint distance (DeVries et al. 2019, arXiv 1907.08175): accuracy alone would put a single
clear image of each label on top, and a distance that knows no labels would not see that they are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.evaluation.classifier import DomainClassifiers, recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import NonNegative, Seed, Several
from genarena.spec import DataSpec
from genarena.tasks.augmenting.floors import copies, gaussian_of_classes
from genarena.tasks.base import Line, Outcome, Shown, Task
from genarena.tasks.guiding import pictures
from genarena.tasks.guiding.scores import MOST, NEIGHBOUR, Halves, Reference, chance, classifiers_of, not_scored
from genarena.tasks.guiding.strengths import ClassifierFree, Drawn, Strengths, Unguided, strengths_for


@dataclass(frozen=True)
class Guidance(Task):
    """strengths: of guidance, a line each: 0 unconditional, 1 conditional. num_samples: of each line, at most half the number
    of test images: the other half is the reference. seed: of the halves, and of the samples, which share their noise.
    """

    title = "Guidance"
    table = "guidance"
    kind = Strengths
    algorithms: ClassVar = (ClassifierFree, Unguided)

    strengths: Sequence[NonNegative] = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
    num_samples: Several = 1_000
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_repeated("strengths")
        object.__setattr__(self, "strengths", tuple(sorted(map(float, self.strengths))))

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        if spec.condition is None or spec.condition.kind != "label":
            there = "without a condition" if spec.condition is None else f"with data.condition={spec.condition.kind}"
            raise ValueError(
                f"needs a model that is conditional on labels (data.condition=label); this run was trained {there}"
            )

    def examine(self, data: Mapping[str, Any]) -> None:
        if data.get("only") is not None:
            raise ValueError(f"the run has learned one label, data.only={data['only']}: there is no other to ask for")

    def training_options(self) -> tuple[str, ...]:
        return ("data.condition=label",)

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {"classifiers": recipe_hash(), "k": NEIGHBOUR, "reference": MOST}

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Strengths:
        return strengths_for(model, self.algorithm)

    def solve(self, model: GenerativeModel, algorithm: Strengths, data: ArenaDataModule, case: str) -> Outcome:
        classifiers, halves = classifiers_of(data), Halves.of(data, self.num_samples, self.seed)
        reference, asked = Reference(classifiers, halves.reference), halves.others.y
        drawn = {s: algorithm.draw(model, asked, s, self.seed) for s in algorithm.possible(self.strengths)}
        lines = {s: _line(reference, each, asked) for s, each in drawn.items()}
        best, chosen = chosen_on_validation(Reference(classifiers, data.val[:]), drawn, asked)
        if len(lines) > 1 and best is not None:
            remark = f"best on validation images: FD joint {chosen[best]:.4g}, the lowest of all strengths"
            lines[best] = replace(lines[best], remark=remark)
        floors = floors_of(data, classifiers, reference, halves.others, self.seed)
        facts = {
            "best_on_validation": best,
            "fd_joint_on_validation": {_name(s): value for s, value in chosen.items()},
            "nfe": {_name(s): each.nfe for s, each in drawn.items()},
            "not_finite": {_name(s): each.failures for s, each in drawn.items()},
            "backbone": classifiers.facts,
        }
        made, shown = self._pictures(model, algorithm, lines, floors)
        named = {_name(s): line for s, line in lines.items()}
        return Outcome(named, floors, halves.reference.size + halves.others.size, facts, made, shown)

    def _pictures(
        self, model: GenerativeModel, algorithm: Strengths, lines: Mapping[float, Line], floors: Mapping[str, Line]
    ) -> tuple[dict[str, Tensor], dict[str, Shown]]:
        made = {pictures.CURVE: pictures.curve(lines, floors)}
        shown = {pictures.CURVE: Shown(text="class accuracy against recall", is_plot=True)}
        for s in lines:
            if s in pictures.SHOWN:
                made[f"samples_s{s:g}.png"] = pictures.grid(algorithm, model, s, self.seed)
                shown[f"samples_s{s:g}.png"] = pictures.shown_in_grid(model.spec.num_classes, s)
        return made, shown


def _name(s: float) -> str:
    """Of a line."""
    return f"s={s:g}"


def _line(reference: Reference, drawn: Drawn, asked: Tensor) -> Line:
    if drawn.failures:
        return Line(not_scored(f"{drawn.failures} of {len(asked)} samples are not finite"))
    return Line(reference.scores(drawn.x, asked))


def chosen_on_validation(
    reference: Reference, drawn: Mapping[float, Drawn], asked: Tensor
) -> tuple[float | None, dict[float, float]]:
    """The strength whose samples have the smallest FD joint to validation images, and the distances of all. Samples that are
    not finite have none."""
    sound = {s: each for s, each in drawn.items() if not each.failures}
    found = {s: reference.fd_joint(reference.classifiers.features(each.x), asked)["value"] for s, each in sound.items()}
    return min(found, key=found.__getitem__, default=None), found


def floors_of(
    data: ArenaDataModule, classifiers: DomainClassifiers, reference: Reference, real: Split, seed: int
) -> dict[str, Line]:
    """Real test images, which a perfect model would draw; the same with their labels shuffled; training images of the labels
    asked for; and draws of a Gaussian per class."""
    order = torch.randperm(real.size, generator=seeded_generator(seed, real.size, "shuffled"))
    shuffled = reference.scores(real.x, real.y[order])
    expected = chance(real.y, classifiers.classes(classifiers.features(real.x)), data.spec.num_classes)
    shuffled["class_accuracy"] |= {"chance": expected}
    train = Split(data.train.x[:], data.train.y)
    return {
        "real": Line(reference.scores(real.x, real.y), is_real=True),
        "memoriser": Line(reference.scores(copies(train, real.y, seed).x, real.y)),
        "class Gaussian": Line(reference.scores(gaussian_of_classes(data.spec, train, real.y, seed).x, real.y)),
        "shuffled labels": Line(shuffled),
    }
