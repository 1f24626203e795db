"""Anomaly detection: is an example of the data that the model was trained on, or of another set?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.options.values import Several
from genarena.spec import DataSpec
from genarena.tasks.base import Outcome, Task
from genarena.tasks.detecting import floors, gaps, one_class, pictures, report, sets
from genarena.tasks.detecting.floors import Floors
from genarena.tasks.detecting.scores import NUM_VAL, Scores, judge_of

CASE = "against_"


@dataclass(frozen=True)
class Anomaly(Task):
    """Outside is positive, and a higher score is more anomalous. Both samples are test examples, equally many.

    against: data sets of `conf/data`, or transforms of test images: vflip, hflip, noise, constant; or others, examples
    whose label is not `data.only`. null: all transforms; of tables, others. num_images: examples of each of the two, at most.
    No example from outside takes part in any choice. one_class: each class against all others; a table then needs no other
    set.
    """

    title = "Anomaly detection"
    table = "anomaly"
    kind = Scores
    algorithms: ClassVar = (Scores,)

    against: Sequence[str] | None = None
    num_images: Several = 5_000
    one_class: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.against is not None and not 0 < len(set(self.against)) == len(self.against):
            raise ValueError(f"against={list(self.against)}: expected different sets, at least one")

    def check(self, spec: DataSpec) -> None:
        if spec.is_image != spec.is_discrete or not (spec.is_image or spec.is_vector):
            raise ValueError(
                f"needs images of integer levels or tables, and the data of this run has shape {spec.shape}"
            )
        if spec.condition is not None and spec.condition.kind != "label":
            raise ValueError(f"the model is conditional on {spec.condition.kind}; expected label, or no condition")
        for name in self.outside(spec):
            sets.check(name, spec)
        if self.one_class:
            one_class.check(spec)

    def examine(self, data: Mapping[str, Any]) -> None:
        table = len(data["spec"]["shape"]) == 1
        compared = sets.OTHERS in self.against if self.against else table and not self.one_class
        if compared and data.get("only") is None:
            raise ValueError(
                f"against={sets.OTHERS}: the run has learned examples of all labels; train with data.only=<label>"
            )
        if self.one_class and data.get("only") is not None:
            raise ValueError(f"one_class=true: the run has learned one label, data.only={data['only']}: against=others")

    def outside(self, spec: DataSpec) -> Sequence[str]:
        """The sets that are compared with."""
        if self.against:
            return self.against
        if spec.is_image:
            return tuple(sets.TRANSFORMS)
        return () if self.one_class else (sets.OTHERS,)

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return (*(f"{CASE}{name}" for name in self.outside(spec)), *([one_class.CASE] if self.one_class else []))

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Scores:
        if case == one_class.CASE and not one_class.knows_labels(model):
            raise ValueError(
                f"one_class=true: {type(model).__name__} has no likelihood of a single label: train with data.only=<label> and "
                "ask against=others, or train with data.condition=label"
            )
        return super().algorithm_for(model, case)

    def settings(self, case: str) -> dict[str, Any]:
        return {"against": case.removeprefix(CASE), "num_images": self.num_images}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {
            "positive": "outside",
            "prevalence": 0.5,
            "validation": NUM_VAL,
            "floors": [floors.COMPONENTS, floors.NEIGHBOURS, floors.MOST_TRAIN],
            **({"trees": "of columns"} if floors.splits_columns(spec) else {}),
        }

    def solve(self, model: GenerativeModel, algorithm: Scores, data: ArenaDataModule, case: str) -> Outcome:
        if case == one_class.CASE:
            return Outcome(*one_class.lines(judge_of(algorithm, model, data), data, self.num_images))
        other = case.removeprefix(CASE)
        inside, outside = sets.pair(data, other, self.num_images)
        judge, fitted = judge_of(algorithm, model, data), floors_of(data)
        lines, shown, beside = {}, {}, {}
        for score in algorithm.found(judge):
            shown[score.name] = algorithm.values(score, judge, inside, outside)
            lines[score.name] = report.line(*shown[score.name], score.paper, dict(score.facts(judge)))
        made = {}
        for name in fitted.scores:
            beside[name] = fitted.score(name, inside), fitted.score(name, outside)
            made[name] = report.line(*beside[name], floors.PAPERS.get(name, ""))
        first = next(iter(shown.values()))
        drawn = {"scores.png": pictures.histograms(shown, (data.name, other))}
        if data.spec.is_image:
            drawn = {"extremes.png": pictures.extremes(first, inside, outside), **drawn}
        facts = {"inside": len(inside), "outside": len(outside), "sha256_of_outside": sets.digest(outside)}
        lines = gaps.compared(lines, shown, beside)
        return Outcome(lines, made, len(inside), facts, drawn, pictures.seen(next(iter(shown))))


@lru_cache(maxsize=1)  # the cases of one task share what was fitted
def floors_of(data: ArenaDataModule) -> Floors:
    return Floors(data)
