"""How near samples and test examples are to training examples, as pixels or vectors."""

from dataclasses import dataclass

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.shelf import Shelf
from genarena.options.settings import Settings
from genarena.options.values import Count, Whole
from genarena.statistics.copying import PEERS, Closeness, closeness
from genarena.statistics.rows import content_order


@dataclass(frozen=True)
class NearnessSettings(Settings):
    """queries: largest number of samples, and of test examples, that are looked up. shift: pixels by which images may be
    shifted in each direction, so that a shifted copy is found."""

    queries: Count = 1_000
    shift: Whole = 1


class Nearness(Kind):
    """Distances to the training examples. Those of test examples are kept on disk."""

    Settings = NearnessSettings

    @piece
    def fake_closeness(self, fake: Tensor, train: Tensor, fake_order: Tensor) -> Closeness:
        """Of the first samples in an order by content."""
        queries = fake[fake_order[: self.settings.queries]]
        return closeness(queries, train, self.settings.shift, self.subject.model.device)

    @piece
    def real_closeness(self, real: Tensor, train: Tensor) -> Closeness:
        """Of the first test examples in an order by content."""
        queries = real[content_order(real)[: self.settings.queries]]
        shift, device = self.settings.shift, self.subject.model.device
        kept = Shelf(self.subject.data.facts["id"]).under(queries)
        name = f"closeness-{len(train)}-shift{shift}-peers{PEERS}"
        return Closeness(*kept(name, lambda: list(closeness(queries, train, shift, device))))
