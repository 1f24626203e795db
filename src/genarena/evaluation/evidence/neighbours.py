"""Neighbours in the space that `features.space` names: what precision, recall, density and coverage share."""

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.shelf import Shelf
from genarena.metrics.base import Fresh, Unavailable
from genarena.statistics.copying import authentic, spacing
from genarena.statistics.manifolds import Manifolds, Reference
from genarena.statistics.rows import content_order, finite_rows

TABLE = 2**16  # training examples: of more, only the neighbours of those that are needed are searched


class Neighbours(Kind):
    """Test examples with samples, and with other real examples. All sets have the same size, because these counts depend on
    it: the smaller one's; of the larger one the first in an order by content. Radii of real examples are kept on disk."""

    in_chosen_space = True

    @piece
    def fake_manifolds(
        self, real: Tensor, real_features: Tensor, fake_features: Tensor, fake_order: Tensor
    ) -> Manifolds:
        """Test examples and samples."""
        n = min(len(real_features), len(fake_features))
        test = finite_rows("real", real_features[content_order(real)[:n]])
        fake = finite_rows("fake", fake_features[fake_order[:n]])
        return Manifolds(test, fake, self.subject.model.device, self.shelf.under(test))

    @piece
    def real_manifolds(self, fake_manifolds: Manifolds, fresh_features: Fresh) -> Reference:
        """The same test examples, and as many other real examples."""
        manifolds = fake_manifolds
        if fresh_features.rows is None:
            return Reference(None, reason=fresh_features.reason)
        other = finite_rows("fresh", fresh_features.rows[: len(manifolds.real)])
        both = self.shelf.under(manifolds.real, other)
        return Reference(
            Manifolds(manifolds.real, other, manifolds.device, manifolds.kept, both), fresh_features.source
        )

    @piece
    def train_spacing(self, train_features: Tensor) -> Tensor | None:
        """(L,) float64, the distance of each training example to its nearest other; None if that would take too long."""
        train = finite_rows("training", train_features)
        if len(train) < 2:
            raise Unavailable("needs at least 2 training examples")
        if len(train) > TABLE:
            return None
        return self.shelf.under(train)("spacing", lambda: spacing(train, self.subject.model.device))

    @piece
    def fake_authentic(self, fake_features: Tensor, train_features: Tensor, train_spacing: Tensor | None) -> Tensor:
        """(M,) booleans: whether a sample is further from its nearest training example than that is from its own neighbour."""
        return authentic(finite_rows("fake", fake_features), train_features, train_spacing, self.subject.model.device)

    @piece
    def real_authentic(self, real_features: Tensor, train_features: Tensor, train_spacing: Tensor | None) -> Tensor:
        """(N,) the same of the test examples."""
        real, device = finite_rows("real", real_features), self.subject.model.device
        kept = self.shelf.under(real, train_features)
        return kept("authentic", lambda: authentic(real, train_features, train_spacing, device))

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.subject.data.facts["id"])
