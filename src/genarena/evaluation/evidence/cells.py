"""Cells of the training examples, in the space that `features.space` names."""

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.shelf import Shelf
from genarena.statistics.cells import STARTS, centres, num_cells
from genarena.statistics.rows import finite_rows


class Cells(Kind):
    """In each of them samples and test examples are compared by themselves. Kept on disk."""

    in_chosen_space = True

    @piece
    def train_cells(self, train_features: Tensor, train_order: Tensor, fake_features: Tensor) -> Tensor:
        """(K, F), their centres."""
        train, cells = finite_rows("training", train_features[train_order]), num_cells(len(fake_features))
        kept = Shelf(self.subject.data.facts["id"]).under(train)
        return kept(f"cells-{cells}-starts{STARTS}", lambda: centres(train, cells))
