"""Composition: do pictures from text show what the text says? Objects, numbers, colours, and which belongs to which.

After GenEval (Ghosh, Hajishirzi & Schmidt 2023, arXiv 2310.11513): a share of right pictures for each of six tasks, and their
mean. Differs from the paper: the data set has a judge of its own, exact on real pictures, in place of a detector, and prompts
of combinations that training never shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from genarena.data.captions.prompted import Prompt, Prompted
from genarena.errors import not_finite
from genarena.models.base import GenerativeModel
from genarena.options.hints import nearest
from genarena.options.values import Count, NonNegative, Seed, Whole
from genarena.spec import DataSpec
from genarena.tasks.abilities import class_of
from genarena.tasks.base import Line, Outcome, Shown, Task
from genarena.tasks.composing import pictures
from genarena.tasks.composing.floors import floors_of
from genarena.tasks.composing.scores import Asked, not_scored, per_prompt, scores
from genarena.tasks.guiding.strengths import ClassifierFree, Strengths, Unguided, strengths_for


@dataclass(frozen=True)
class Composition(Task):
    """lists: of prompts of the data set, a case each. strengths: of guidance, a line each: 0 unconditional, 1 conditional.
    num_images: of each prompt. num_val: captions of validation pictures on which the best strength is chosen; 0: none is.
    seed: of samples, which share their noise over the strengths.
    """

    title = "Composition"
    table = "composition"
    kind = Strengths
    algorithms: ClassVar = (ClassifierFree, Unguided)

    lists: Sequence[str] = ("seen", "unseen")
    strengths: Sequence[NonNegative] = (0.0, 1.0, 2.0, 4.0)
    num_images: Count = 4
    num_val: Whole = 200
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_repeated("lists")
        self.refuse_repeated("strengths")
        object.__setattr__(self, "strengths", tuple(sorted(map(float, self.strengths))))

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(self.lists)

    def examine(self, data: Mapping[str, Any]) -> None:
        found = class_of(data, "data")
        if not issubclass(found, Prompted):
            raise ValueError(
                f"{found.name} has no judge of pictures and no lists of prompts; data=scenes and data=emoji have"
            )
        for name in self.lists:
            if name not in found.lists:
                raise ValueError(
                    f"lists={name}: there is no such list of prompts{nearest(name, found.lists)}; {found.name} has "
                    f"{', '.join(found.lists)}"
                )

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        if spec.condition is None or spec.condition.kind != "caption":
            there = "without a condition" if spec.condition is None else f"with data.condition={spec.condition.kind}"
            raise ValueError(
                f"needs a model that is conditional on captions (data.condition=caption); this run was trained {there}"
            )

    def training_options(self) -> tuple[str, ...]:
        return ("data.condition=caption",)

    def settings(self, case: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("strengths", "num_images", "seed")}

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Strengths:
        return strengths_for(model, self.algorithm)

    def solve(self, model: GenerativeModel, algorithm: Strengths, data: Prompted, case: str) -> Outcome:
        asked = Asked(data.prompts(case), self.num_images)
        tokens = data.encode([prompt.text for prompt in asked.prompts]).repeat_interleave(self.num_images, 0)
        drawn = {s: algorithm.draw(model, tokens, s, self.seed) for s in algorithm.possible(self.strengths)}
        lines: dict[float, Line] = {}
        for s, each in drawn.items():
            broken = not_finite(each.failures, len(tokens))
            lines[s] = Line(not_scored(asked, broken) if each.failures else scores(data, asked, each.x))
        on_validation = (
            self._on_validation(model, algorithm, data, list(lines)) if len(lines) > 1 and self.num_val else {}
        )
        if on_validation:
            best = max(on_validation, key=on_validation.__getitem__)
            remark = (
                f"best on validation captions: {on_validation[best]:.3f} of {self.num_val}, the most of all strengths"
            )
            lines[best] = replace(lines[best], remark=remark)
        floors = floors_of(data, case, asked, self.seed)
        facts = {
            "right_on_validation": {_name(s): value for s, value in on_validation.items()},
            "nfe": {_name(s): each.nfe for s, each in drawn.items()},
            "not_finite": {_name(s): each.failures for s, each in drawn.items()},
        }
        made, shown = self._pictures(model, algorithm, data, asked, lines, floors)
        named = {_name(s): line for s, line in lines.items()}
        return Outcome(named, floors, len(asked.prompts), facts, made, shown, counted="prompts")

    def _on_validation(
        self, model: GenerativeModel, algorithm: Strengths, data: Prompted, strengths: Sequence[float]
    ) -> dict[float, float]:
        """The share of right samples of captions of validation pictures, at each strength."""
        tokens = data.val.captions[: self.num_val, 0]
        asked = Asked([Prompt("", "", check) for check in data.checks(tokens)])
        found = {s: algorithm.draw(model, tokens, s, self.seed + 1) for s in strengths}
        return {s: per_prompt(data, asked, each.x).mean().item() for s, each in found.items() if not each.failures}

    def _pictures(
        self,
        model: GenerativeModel,
        algorithm: Strengths,
        data: Prompted,
        asked: Asked,
        lines: Mapping[float, Line],
        floors: Mapping[str, Line],
    ) -> tuple[dict[str, Tensor], dict[str, Shown]]:
        made, shown, prompts = {}, {}, pictures.chosen(asked)
        tokens = data.encode(pictures.texts(prompts))
        for s in lines:
            x = algorithm.draw(model, tokens, s, self.seed).x
            made[f"samples_s{s:g}.png"] = data.spec.pictures(x)
            shown[f"samples_s{s:g}.png"] = pictures.shown_in_grid(prompts, s)
        if len(lines) > 1:
            made[pictures.CURVE] = pictures.curve(lines, asked, floors["unconditional"])
            shown[pictures.CURVE] = Shown(text="right images over guidance; dotted: images at random", is_plot=True)
        return made, shown


def _name(s: float) -> str:
    """Of a line."""
    return f"s={s:g}"
