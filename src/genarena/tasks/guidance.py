"""Guidance: what do labels, or attributes, become in samples, and what does more guidance cost?

A line per strength s of classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): class accuracy rises with s, recall
falls. Conditional models without guidance have one line, s = 1, so that the table compares all families.

The table is ordered by the Frechet joint distance (DeVries et al. 2019, arXiv 1907.08175): accuracy alone would put a single
clear image of each label on top, and a distance that knows no labels would not see that they are ignored. Of attributes the
accuracy is the mean balanced one, 1/2 for images that do not depend on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.classifier import recipe_hash
from genarena.evaluation.evidence.attributes import shares_of
from genarena.models.base import GenerativeModel
from genarena.nets.conditioning import VECTORS
from genarena.options.values import NonNegative, Seed, Several
from genarena.spec import DataSpec
from genarena.statistics.balanced_accuracy import FEWEST
from genarena.tasks.base import Line, Outcome, Shown, Task
from genarena.tasks.guiding import pictures
from genarena.tasks.guiding.floors import floors_of
from genarena.tasks.guiding.scores import MOST, NEIGHBOUR, Halves, Reference, classifiers_of, not_scored
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
        if spec.condition is None or spec.condition.kind not in VECTORS:
            there = "without a condition" if spec.condition is None else f"with data.condition={spec.condition.kind}"
            raise ValueError(
                "needs a model that is conditional on labels or attributes (data.condition=label or attributes); this run was "
                f"trained {there}"
            )

    def examine(self, data: Mapping[str, Any]) -> None:
        if data.get("only") is not None:
            raise ValueError(f"the run has learned one label, data.only={data['only']}: there is no other to ask for")

    def training_options(self) -> tuple[str, ...]:
        return ("data.condition=label",)

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        found = {"classifiers": recipe_hash(), "k": NEIGHBOUR, "reference": MOST}
        of_attributes = spec.condition is not None and spec.condition.kind == "attributes"
        return found | ({"condition": "attributes", "fewest": FEWEST} if of_attributes else {})

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Strengths:
        return strengths_for(model, self.algorithm)

    def solve(self, model: GenerativeModel, algorithm: Strengths, data: ArenaDataModule, case: str) -> Outcome:
        classifiers, halves = classifiers_of(data), Halves.of(data, self.num_samples, self.seed)
        shares = shares_of(data.train.y) if model.spec.condition.kind == "attributes" else None
        reference, asked = Reference(classifiers, halves.reference, shares), halves.others.y
        drawn = {s: algorithm.draw(model, asked, s, self.seed) for s in algorithm.possible(self.strengths)}
        lines = {s: _line(reference, each, asked) for s, each in drawn.items()}
        best, chosen = chosen_on_validation(Reference(classifiers, data.val[:], shares), drawn, asked)
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
        rows = pictures.rows_of(data, model.spec.condition, asked)
        made, shown = self._pictures(model, algorithm, rows, lines, floors)
        named = {_name(s): line for s, line in lines.items()}
        return Outcome(named, floors, halves.reference.size + halves.others.size, facts, made, shown)

    def _pictures(
        self,
        model: GenerativeModel,
        algorithm: Strengths,
        rows: pictures.Rows,
        lines: Mapping[float, Line],
        floors: Mapping[str, Line],
    ) -> tuple[dict[str, Tensor], dict[str, Shown]]:
        accuracy = lines[next(iter(lines))].metrics["class_accuracy"]["title"]
        made = {pictures.CURVE: pictures.curve(lines, floors, accuracy)}
        shown = {pictures.CURVE: Shown(text=f"{accuracy} against recall", is_plot=True)}
        for s in lines:
            if s in pictures.SHOWN:
                made[f"samples_s{s:g}.png"] = pictures.grid(algorithm, model, rows.y, s, self.seed)
                shown[f"samples_s{s:g}.png"] = pictures.shown_in_grid(rows.titles, s)
        return made, shown


def _name(s: float) -> str:
    """Of a line."""
    return f"s={s:g}"


def _line(reference: Reference, drawn: Drawn, asked: Tensor) -> Line:
    if drawn.failures:
        kind = "attributes" if asked.dim() == 2 else "label"
        return Line(not_scored(f"{drawn.failures} of {len(asked)} samples are not finite", kind))
    return Line(reference.scores(drawn.x, asked))


def chosen_on_validation(
    reference: Reference, drawn: Mapping[float, Drawn], asked: Tensor
) -> tuple[float | None, dict[float, float]]:
    """The strength whose samples have the smallest FD joint to validation images, and the distances of all. Samples that are
    not finite have none."""
    sound = {s: each for s, each in drawn.items() if not each.failures}
    found = {s: reference.fd_joint(reference.classifiers.features(each.x), asked)["value"] for s, each in sound.items()}
    return min(found, key=found.__getitem__, default=None), found
