"""Examples of the data set: integer levels, or floats for continuous data."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec
from genarena.statistics.rows import content_order


class Examples(Kind):
    """The test split (or the one that `split` names), and the examples that training may have shown."""

    reads = {"real": ("num_test",)}

    @piece
    def spec(self) -> DataSpec:
        return self.subject.data.spec

    @piece
    def real(self) -> Tensor:
        """Test examples (N, *shape)."""
        return self.subject.test(self.shared.num_test).x

    @piece
    def train(self) -> Tensor:
        """All examples that training may have shown (N, *shape)."""
        data = self.subject.data
        if data.seen is None:
            raise Unavailable(f"{data.name} {data.unseen}")
        return data.seen

    @piece
    def train_order(self, train: Tensor) -> Tensor:
        """(N,) indices of the training examples in an order that depends on their content only."""
        return content_order(train)

    def facts(self, piece: str) -> dict[str, Any]:
        return {"split": self.subject.split_name(self.shared.num_test)} if piece == "real" else {}
