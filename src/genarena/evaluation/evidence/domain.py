"""Features of the domain classifiers, and the classes that they predict."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.statistics.rows import finite_rows


class Domain(Kind):
    """Penultimate features of each classifier (`genarena.evaluation.features`)."""

    network = "domain"

    @piece
    def real_domain(self, real: Tensor) -> Tensor:
        """(N, num_classifiers * F): those of all classifiers side by side."""
        return self.subject.networks.of_examples("domain", real)

    @piece
    def fake_domain(self, fake: Tensor) -> Tensor:
        """(N, num_classifiers * F)."""
        return self.subject.networks.of_samples("domain", fake)

    @piece
    def num_classifiers(self) -> int:
        return len(self.subject.networks["domain"].members)

    @piece
    def real_classes(self, real_domain: Tensor) -> Tensor:
        """(N,) int64: the classes that the classifiers predict, not the labels."""
        return self._classes("real", real_domain)

    @piece
    def fake_classes(self, fake_domain: Tensor) -> Tensor:
        """(N,) int64."""
        return self._classes("fake", fake_domain)

    @piece
    def domain_accuracy(self) -> float:
        """Share of the test images whose class the classifiers predict right."""
        return self.subject.networks["domain"].accuracy

    def _classes(self, name: str, features: Tensor) -> Tensor:
        if self.subject.data.spec.num_classes is None:
            raise Unavailable(f"{self.subject.data.name} has attributes, and no classes to predict")
        return self.subject.networks["domain"].classes(finite_rows(name, features))

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("domain")
