"""How near samples and test examples are to training examples, and samples to held-out examples, as pixels or vectors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.shelf import Shelf
from genarena.metrics.base import Fresh
from genarena.models.capabilities import Withholds
from genarena.options.settings import Settings
from genarena.options.values import Count, Whole
from genarena.statistics.copying import PEERS, Closeness, closeness
from genarena.statistics.rows import content_order

MOST = 10_000  # validation examples that are looked through


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

    @piece
    def fake_held_out(self, fake: Tensor, real: Tensor, fake_order: Tensor) -> Closeness:
        """Of samples to validation and test examples, from which no model may learn."""
        queries = fake[fake_order[: self.settings.queries]]
        return closeness(queries, self._held_out(real), self.settings.shift, self.subject.model.device)

    @piece
    def fresh_held_out(self, real: Tensor, fresh: Fresh) -> Closeness | None:
        """The same of training examples in place of samples; None if there are too few."""
        if fresh.rows is None or fresh.source != "train":
            return None
        queries, examples = fresh.rows[: self.settings.queries], self._held_out(real)
        shift, device = self.settings.shift, self.subject.model.device
        kept = Shelf(self.subject.data.facts["id"]).under(queries, examples)
        name = f"closeness-held-out-shift{shift}-peers{PEERS}"
        return Closeness(*kept(name, lambda: list(closeness(queries, examples, shift, device))))

    def _held_out(self, real: Tensor) -> Tensor:
        """Test examples, and the validation examples, unless they are these or were given to a reference on purpose."""
        model = self.subject.model
        if self.subject.settings.split == "val" or isinstance(model, Withholds):
            return real
        return torch.cat([real, self.subject.data.val.x[:MOST]])
