"""Which attributes samples show, as the domain classifiers see them."""

import torch
from torch import Tensor

from genarena.evaluation.classifier import DomainClassifiers
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.statistics.rows import finite_rows

RAREST = 1e-6  # the share of an attribute that no training example has


class Attributes(Kind):
    """For models that are conditional on attributes."""

    network = "domain"

    @piece
    def attribute_shares(self) -> Tensor:
        """(K,) the share of the training examples with each attribute. Raises Unavailable, before any sample is drawn, for a
        model that has no attributes."""
        condition = self.subject.data.spec.condition
        if condition is None or condition.kind != "attributes":
            raise Unavailable("needs a model that is conditional on attributes (data.condition=attributes)")
        return shares_of(self.subject.data.train.y)

    @piece
    def fake_attributes(self, attribute_shares: Tensor, fake_domain: Tensor) -> Tensor:
        """(N, K) bool: what each sample shows."""
        rows = finite_rows("fake", fake_domain)
        return attributes_seen(self.subject.networks["domain"], rows, attribute_shares)


def shares_of(y: Tensor) -> Tensor:
    """(K,) float64 shares of attributes y (N, K) that are 0 or 1."""
    return y.double().mean(0)


@torch.no_grad()
def attributes_seen(classifiers: DomainClassifiers, features: Tensor, shares: Tensor) -> Tensor:
    """(N, K) bool: whether the mean probability of an attribute over the classifiers is above its share in training, as in
    their own accuracy on test images (`classifier_skill`)."""
    return classifiers.logits(features).sigmoid().mean(0) > shares.clamp(RAREST, 1.0 - RAREST)
