"""Disentanglement: does each code of a model follow one of the factors that the data are made of?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any, ClassVar

from genarena.data.base import ArenaDataModule
from genarena.data.ground_truth import GroundTruth
from genarena.evaluation import features
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes
from genarena.options.hints import nearest
from genarena.options.values import Seed, Several
from genarena.spec import DataSpec
from genarena.statistics.disentanglement import information, robustness, voting
from genarena.tasks import sources
from genarena.tasks.abilities import class_of
from genarena.tasks.base import Line, Outcome, Task
from genarena.tasks.disentangling import pictures
from genarena.tasks.disentangling.codes import Coding, Encoder, table_of
from genarena.tasks.disentangling.floors import FITTED, NUM_CODES, floors
from genarena.tasks.disentangling.scores import Draws, Scored, scored
from genarena.tasks.task_run import rules
from genarena.tasks.untrained import untrained

UNTRAINED = "untrained"
REMARK = "untrained: the same network before the first step of training"


@dataclass(frozen=True)
class Disentanglement(Task):
    """num_points: random combinations on which votes and linear classifiers are trained; num_trees: the same of the trees of
    DCI, whose time grows with it. Half as many test them. factors: names of those that are scored; null: all. seed: of the
    draws.

    What is not drawn is exact: the whole grid of combinations is encoded.
    """

    title = "Disentanglement"
    table = "disentanglement"
    kind = Encoder
    algorithms: ClassVar = (Encoder,)

    num_points: Several = 10_000
    num_trees: Several = 1_000
    factors: Sequence[str] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factors is not None:
            self.refuse_repeated("factors", fewest=1)

    def examine(self, data: Mapping[str, Any]) -> None:
        found = class_of(data, "data")
        if not issubclass(found, GroundTruth):
            raise ValueError(
                f"{found.name} has no known factors; use a set that is made of some, such as sprites_small"
            )
        self._scored(found.factor_sizes)

    def _scored(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """The factors that are scored: those asked for, or all that have two values."""
        varying = {name: size for name, size in sizes.items() if size > 1}
        for name in self.factors or ():
            if name not in varying:
                there = ", ".join(varying)
                raise ValueError(f"factors={name}: there is no such factor{nearest(name, varying)}; there are {there}")
        return {name: size for name, size in varying.items() if self.factors is None or name in self.factors}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {
            "bins": information.BINS,
            "quantile": robustness.QUANTILE,
            "votes": [voting.BATCH, voting.DEAD],
            "floors": [NUM_CODES, FITTED],
            "scikit-learn": version("scikit-learn"),
        }

    def solve(self, model: GenerativeModel, algorithm: Encoder, data: ArenaDataModule, case: str) -> Outcome:
        wanted, coding = self._scored(data.factor_sizes), algorithm.coding(model, data)
        start = perf_counter()
        table = table_of(data, coding, wanted)
        encoded = perf_counter() - start
        found = self._measured(table, wanted)
        drawn = {"matrices.png": pictures.matrices(found, tuple(wanted))}
        if isinstance(model, Decodes):
            drawn = pictures.moved(model, data, coding, table.codes, self.seed) | drawn
        facts = {
            "combinations": len(table.codes),
            "seconds_of_encoding": encoded,
            "seconds_of_metrics": perf_counter() - start - encoded,
            "information": found.information.round(4).tolist(),
            "importances": found.importances.round(4).tolist(),
            "standard_deviations": table.codes.std(0).round(4).tolist(),
        }
        shown = pictures.seen(found, table.codes, tuple(wanted))
        beside = self._floors(data, wanted, case)
        lines = {"": Line(found.metrics)} | self._untrained(model, algorithm, data, wanted)
        return Outcome(lines, beside, len(table.codes), facts, drawn, shown, counted="combinations")

    def _untrained(
        self, model: GenerativeModel, algorithm: Encoder, data: ArenaDataModule, wanted: Mapping[str, int]
    ) -> dict[str, Line]:
        """The model before training, if it is known how it was made."""
        fresh = untrained(model, data)
        if fresh is None:
            return {}
        found = self._measured(table_of(data, algorithm.coding(fresh, data), wanted), wanted)
        return {UNTRAINED: Line(found.metrics, remark=REMARK)}

    def _measured(self, table: Any, wanted: Mapping[str, int]) -> Scored:
        return scored(table, tuple(wanted), Draws(self.num_points, self.num_trees, self.seed))

    def _floors(self, data: ArenaDataModule, wanted: Mapping[str, int], case: str) -> dict[str, Line]:
        """Made once for all models of a data set, and kept in the cache."""

        def metrics(coding: Coding) -> dict[str, Any]:
            return self._measured(table_of(data, coding, wanted), wanted).metrics

        each = list(floors(data, self.seed))
        digest = f"{rules(self, case, data.spec)['id']}-{sources.digest_of(__name__)}"
        name = f"{data.facts['id']}/disentanglement-{digest}.pt"
        found = features.cached_once(name, lambda: {floor.name: metrics(floor.make()) for floor in each}, check=dict)
        return {floor.name: Line(found[floor.name], is_real=floor.is_real) for floor in each}
