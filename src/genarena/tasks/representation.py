"""Representation: what are the codes of a model worth to someone who wants to classify?

Codes are frozen: a linear probe, nearest neighbours and probes of few labels are fitted to those of training examples and
scored on test examples. The layer, and for diffusion models the noise level, is chosen on validation examples (DDAE: Xiang et
al. 2023, arXiv 2303.09769, choose it on test). A code that beats neither PCA-32 by neighbours nor random ReLU features by the
linear probe has learnt nothing that helps, and its line says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from hydra.utils import get_object

from genarena.data.base import ArenaDataModule
from genarena.data.ground_truth import GroundTruth
from genarena.evaluation.code import code_of
from genarena.models.base import GenerativeModel
from genarena.options.hints import nearest
from genarena.options.values import Several
from genarena.spec import DataSpec
from genarena.statistics import code_geometry, knn_probe, linear_probe
from genarena.tasks.base import Line, Outcome, Task
from genarena.tasks.representing import codes, floors, pictures, probes
from genarena.tasks.representing.examples import CLASS, Examples, examples
from genarena.tasks.representing.floors import Measure
from genarena.tasks.representing.layers import Layers, told
from genarena.tasks.representing.probes import Bench
from genarena.tasks.untrained import untrained
from genarena.trust import refuse_foreign

REMARK = "the same networks before training, with the layer that is best for them"


@dataclass(frozen=True)
class Representation(Task):
    """labels: what is predicted, a case each: class, or known factors of the set. num_train, num_val, num_test: examples, at
    most. per_class: labels of each class in few-label probes.
    """

    title = "What codes are worth"
    table = "representation"
    kind = Layers
    algorithms: ClassVar = (Layers,)

    labels: Sequence[str] = (CLASS,)
    num_train: Several = 20_000
    num_val: Several = 5_000
    num_test: Several = 10_000
    per_class: Sequence[int] = (1, 10, 100, 1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_repeated("labels", fewest=1)
        self.refuse_repeated("per_class")
        if min(self.per_class, default=1) < 1:
            raise ValueError(f"per_class={list(self.per_class)}: expected numbers that are at least 1")

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(self.labels)

    def check(self, spec: DataSpec) -> None:
        if CLASS in self.labels and (spec.num_classes or 0) < 2:
            raise ValueError("labels=class: needs data with at least two labels, and the data of this run has none")
        if spec.missing:
            raise ValueError(f"data.missing={spec.missing}: the probes need rows without holes")
        if spec.is_sound:
            raise ValueError(f"needs images or tables, and the data of this run has shape {spec.shape}")

    def examine(self, data: Mapping[str, Any]) -> None:
        if data.get("only") is not None:
            raise ValueError(f"the run was trained with data.only={data['only']}: all its examples have one label")
        there = (CLASS, *factors_in(data))
        for label in self.labels:
            if label not in there:
                raise ValueError(f"labels={label}: no such labels{nearest(label, there)}; there are {', '.join(there)}")

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> Layers:
        if model.conditioning is not None and not model.conditioning.dropout:
            kind = model.spec.condition.kind
            raise ValueError(
                f"the model was trained with data.condition={kind} without dropout of conditions: it has no codes without the "
                f"{kind}, and with it they would tell the label"
            )
        return super().algorithm_for(model, case)

    def settings(self, case: str) -> dict[str, Any]:
        fields = ("num_train", "num_val", "num_test", "per_class")
        return {"labels": case} | {name: getattr(self, name) for name in fields}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        used = [linear_probe.chosen, knn_probe.by_majority, knn_probe.by_cosine]
        used += [code_geometry.Components, code_geometry.alignment, code_geometry.uniformity]
        return {
            "probes": code_of(used).whole,
            "choice": [probes.CHOICE_ROWS, *probes.CHOICE_CS],
            "shuffled": [probes.SHUFFLED_ROWS, probes.SHUFFLED_C],
            "widest": codes.WIDEST,
            "floors": [codes.NARROW, codes.WIDE],
        }

    def solve(self, model: GenerativeModel, algorithm: Layers, data: ArenaDataModule, case: str) -> Outcome:
        bench = Bench(found_in(data, case, (self.num_train, self.num_val, self.num_test)), tuple(self.per_class))
        algorithm.refuse_unknown(codes.layers_of(model, bench.examples))  # the floors take minutes
        below = floors.measured(data, bench, case, self.settings(case))
        layers = codes.of_model(model, bench.examples)
        scores = {name: bench.on_validation(each) for name, each in layers.items()}
        chosen = algorithm.chosen(scores)
        own = {name: bench.measure(layers[name]) for name in chosen}
        made = {name: Measure.of(each) for name, each in own.items()}
        lines = {name: replace(floors.compared(each, below), roles=roles(chosen[name])) for name, each in made.items()}
        lines |= self.untrained(model, data, bench)
        others = floors.lines(below)
        drawn, shown = pictures.drawn(lines, others, bench, layers[next(iter(own))])
        facts = {
            "layers": scores,
            "chosen": {name: told(by) for name, by in chosen.items()},
            **facts_of(bench.examples),
        }
        return Outcome(lines, others, len(bench.examples.y.test), facts, drawn, shown)

    def untrained(self, model: GenerativeModel, data: ArenaDataModule, bench: Bench) -> dict[str, Line]:
        """The same networks with new weights, and the layer that is best for them."""
        fresh = untrained(model, data)
        if fresh is None:
            return {}
        layers = codes.of_model(fresh, bench.examples)
        best = next(iter(Layers().chosen({name: bench.on_validation(each) for name, each in layers.items()})))
        records = bench.measure(layers[best]).records()
        return {f"{codes.UNTRAINED}, {best}": Line(records, remark=REMARK, roles=(f"{codes.UNTRAINED}, best layer",))}


def roles(by: Sequence[str]) -> tuple[str, ...]:
    """What a layer is in the rows of other seeds, where another may be the best by these probes."""
    return tuple(f"best layer by {words}" for words in by)


def factors_in(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The known factors of a data set, from its configuration."""
    refuse_foreign(dict(data), "data")
    found = get_object(data["_target_"])
    return tuple(found.factor_sizes) if issubclass(found, GroundTruth) else ()


def facts_of(found: Examples) -> dict[str, Any]:
    sizes = {"train": len(found.y.train), "val": len(found.y.val)}
    return {**sizes, "twins_left_out": found.twins, "classes": found.num_classes}


@lru_cache(maxsize=2)  # cases and models of one process share the examples
def found_in(data: ArenaDataModule, label: str, limits: tuple[int, ...]) -> Examples:
    return examples(data, label, limits)
