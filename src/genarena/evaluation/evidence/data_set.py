"""What the data set is, and the examples that training may have shown."""

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec
from genarena.statistics.rows import content_order


class DataSet(Kind):
    """It depends on no option."""

    @piece
    def spec(self) -> DataSpec:
        return self.subject.data.spec

    @piece
    def train(self) -> Tensor:
        """All examples that training may have shown (N, *shape): integer levels, or floats for continuous data."""
        data = self.subject.data
        if data.seen is None:
            raise Unavailable(f"{data.name} {data.unseen}")
        return data.seen

    @piece
    def train_order(self, train: Tensor) -> Tensor:
        """(N,) indices of the training examples in an order that depends on their content only."""
        return content_order(train)
