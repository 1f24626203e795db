"""Neighbours in the space that `features.space` names: what precision, recall, density and coverage share."""

import hashlib

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.evaluation import features
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import content_order, finite_rows
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
    def real_manifolds(self, fake_manifolds: Manifolds) -> Reference:
        """The same test examples, and as many training examples (validation examples, if there are too few)."""
        manifolds, data = fake_manifolds, self.subject.data
        n, scored = len(manifolds.real), getattr(data, self.shared.split)
        for part in ("train", "val"):
            split = getattr(data, part)
            if split.x is not scored.x and split.size >= n:
                other = finite_rows("other real", self._features(part, split, n))
                kept = self._kept(manifolds.real, other)
                return Reference(Manifolds(manifolds.real, other, manifolds.device, kept, all_kept=True), part)
        return Reference(None, reason=f"neither the training nor the validation split has {n:,} examples")

    def _features(self, part: str, split: Split, n: int) -> Tensor:
        """Features (n, F) of examples that are drawn with a fixed seed."""
        x = split.x[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:n]]
        if not self.subject.data.spec.is_image:
            return x
        return self.subject.networks.of_other_examples(self.shared.features.space, part, x)

    def _kept(self, *sets: Tensor) -> Kept:
        """Keeps results in the cache of the data set, under a hash of the features themselves."""
        hasher = hashlib.blake2b(digest_size=8)
        for rows in sets:
            hasher.update(rows.contiguous().view(torch.uint8).numpy())
        folder, digest = self.subject.data.facts["id"], hasher.hexdigest()
        return lambda name, make: features.cached(f"{folder}/neighbours-{digest}-{name}.pt", make)
