"""Lines of the methods without a trained model, and of the classifier that knows the labels.

They are measured once per data set and kept in the cache of features.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.features import cached
from genarena.tasks import sources
from genarena.tasks.base import Line, Record
from genarena.tasks.representing import codes
from genarena.tasks.representing.examples import CLASS
from genarena.tasks.representing.probes import Bench, Measured, margin

PCA, RANDOM, CEILING = "PCA-32", "random ReLU 512", "classifier of the labels"
OVER = {"knn": PCA, "linear": RANDOM}  # a code that is above neither has learnt nothing
SHUFFLED, NOTHING = "labels shuffled", "adds nothing"


@dataclass(frozen=True)
class Measure:
    """records: of a line. right: whether each test example is classified right, by probe."""

    records: dict[str, Record]
    right: dict[str, Tensor]

    @classmethod
    def of(cls, measured: Measured) -> "Measure":
        return cls(measured.records(), measured.right)

    @property
    def line(self) -> Line:
        return Line(self.records)


def measured(data: ArenaDataModule, bench: Bench, label: str, settings: Mapping[str, Any]) -> dict[str, Measure]:
    """Name to what was measured: the floors, and the ceiling of the data set's own labels where there is one."""
    content = json.dumps([dict(settings), sources.digest_of(__name__)], sort_keys=True)
    name = f"{data.facts['id']}/representation-{hashlib.sha256(content.encode()).hexdigest()[:8]}.pt"

    def made() -> dict[str, Any]:
        found = codes.of_floors(bench.examples)
        ceiling = codes.of_classifier(data, bench.examples) if label == CLASS else None
        found |= {} if ceiling is None else {CEILING: ceiling}
        every = {name: Measure.of(bench.measure(each)) for name, each in found.items()}
        every[SHUFFLED] = Measure(bench.measure(next(iter(found.values()))).shuffled(), {})
        return {name: {"records": json.dumps(each.records), "right": each.right} for name, each in every.items()}

    return {key: Measure(json.loads(each["records"]), each["right"]) for key, each in cached(name, made).items()}


def lines(floors: Mapping[str, Measure]) -> dict[str, Line]:
    return {name: Line(each.records, is_real=name == CEILING) for name, each in floors.items()}


def compared(found: Measure, floors: Mapping[str, Measure]) -> Line:
    """The line of a code, with its margins over PCA-32 in neighbours and over random features in the linear probe; a remark
    where it is above one of them only, or above none. Above: by more than the interval of the difference."""
    records, above = dict(found.records), []
    for probe, over in OVER.items():
        gap = margin(found.right[probe], over, floors[over].right[probe])
        records[probe] = records[probe] | {"margin": gap}
        if gap["value"] > gap["ci95_half_width"]:
            above.append(probe)
    return Line(records, remark=_remark(above, records, floors))


def _remark(above: list[str], records: Mapping[str, Record], floors: Mapping[str, Measure]) -> str:
    """What the code does not beat."""
    words = {"knn": "neighbours", "linear": "linear probe"}
    below = [
        f"{words[probe]} {records[probe]['value']:.3f} against {floors[over].records[probe]['value']:.3f} of {over}"
        for probe, over in OVER.items()
        if probe not in above
    ]
    if not below:
        return ""
    return f"{'not above a floor' if above else NOTHING}: {', '.join(below)}"
