"""Features of the domain classifier, and the classes that it predicts."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import finite_rows


class Domain(Kind):
    """Penultimate features (`genarena.evaluation.features`)."""

    network = "domain"

    @piece
    def real_domain(self, real: Tensor) -> Tensor:
        """(N, F)."""
        return self.subject.networks.of_examples("domain", real)

    @piece
    def fake_domain(self, fake: Tensor) -> Tensor:
        """(N, F)."""
        return self.subject.networks.of_samples("domain", fake)

    @piece
    def real_classes(self, real_domain: Tensor) -> Tensor:
        """(N,) int64: the classes that the classifier predicts, not the labels."""
        return self._classes("real", real_domain)

    @piece
    def fake_classes(self, fake_domain: Tensor) -> Tensor:
        """(N,) int64."""
        return self._classes("fake", fake_domain)

    @piece
    def domain_accuracy(self) -> float:
        """Share of the test images whose class the classifier predicts right."""
        return self.subject.networks["domain"].accuracy

    def _classes(self, name: str, features: Tensor) -> Tensor:
        return self.subject.networks["domain"].logits(finite_rows(name, features)).argmax(1)

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("domain")
