"""Held-out examples of the data set: integer levels, or floats for continuous data."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.data.batches import Split
from genarena.evaluation.evidence.base import Kind, piece
from genarena.options.settings import Settings
from genarena.options.values import Count


@dataclass(frozen=True)
class ExamplesSettings(Settings):
    """num_test: largest number of test examples, drawn with a fixed seed."""

    num_test: Count = 10_000


class Examples(Kind):
    """The test split, or the one that `evaluation.split` names."""

    Settings = ExamplesSettings

    @piece
    def test(self) -> Split:
        """Test examples, with their conditions."""
        return self.subject.test(self.settings.num_test)

    @piece
    def real(self, test: Split) -> Tensor:
        """Test examples (N, *shape)."""
        return test.x

    def facts(self, piece: str) -> dict[str, Any]:
        return {"split": self.subject.split_name(self.settings.num_test)} if piece == "test" else {}
