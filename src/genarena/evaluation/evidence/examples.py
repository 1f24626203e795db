"""Examples of the data set, as they are on the wire."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable, content_order
from genarena.spec import DataSpec


class Examples(Kind):
    """The test split (or the one that `split` names), and what training may have shown."""

    @piece
    def spec(self) -> DataSpec:
        return self.subject.data.spec

    @piece
    def real(self) -> Tensor:
        """Test examples (N, *shape)."""
        return self.subject.test(self.settings.num_test).x

    @piece
    def train(self) -> Tensor:
        """All examples that training may have shown (N, *shape)."""
        data = self.subject.data
        if data.seen is None:
            raise Unavailable(f"{data.name} {data.unseen}")
        return data.seen

    @piece
    def train_order(self, train: Tensor) -> Tensor:
        """(N,) indices that shuffle the training examples by their content."""
        return content_order(train)

    def facts(self, piece: str) -> dict[str, Any]:
        return {"split": self.subject.split_name(self.settings.num_test)} if piece == "real" else {}
