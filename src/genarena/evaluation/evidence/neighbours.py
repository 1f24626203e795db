"""Neighbours in the space that `features.space` names: what precision, recall, density and coverage share."""

import hashlib

import torch
from torch import Tensor

from genarena.evaluation import features
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Fresh, content_order, finite_rows
from genarena.statistics.manifolds import Kept, Manifolds, Reference


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
        return Manifolds(test, fake, self.subject.model.device, self._kept(test))

    @piece
    def real_manifolds(self, fake_manifolds: Manifolds, fresh_features: Fresh) -> Reference:
        """The same test examples, and as many other real examples."""
        manifolds = fake_manifolds
        if fresh_features.rows is None:
            return Reference(None, reason=fresh_features.reason)
        other = finite_rows("fresh", fresh_features.rows[: len(manifolds.real)])
        kept = self._kept(manifolds.real, other)
        return Reference(Manifolds(manifolds.real, other, manifolds.device, kept, all_kept=True), fresh_features.source)

    def _kept(self, *sets: Tensor) -> Kept:
        """Keeps results in the cache of the data set, under a hash of the features themselves."""
        hasher = hashlib.blake2b(digest_size=8)
        for rows in sets:
            hasher.update(rows.contiguous().view(torch.uint8).numpy())
        folder, digest = self.subject.data.facts["id"], hasher.hexdigest()
        return lambda name, make: features.cached(f"{folder}/neighbours-{digest}-{name}.pt", make)
