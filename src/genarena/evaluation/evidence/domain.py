"""Features of the domain classifiers, and the classes that they predict."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable, finite_rows


class Domain(Kind):
    """Penultimate features of each classifier (`genarena.evaluation.features`)."""

    network = "domain"

    @piece
    def domain_of_real(self, real: Tensor) -> Tensor:
        """(N, members * F), of all classifiers side by side."""
        return self.subject.networks.of_examples("domain", real)

    @piece
    def domain_of_fake(self, fake: Tensor) -> Tensor:
        """(N, members * F)."""
        return self.subject.networks.of_samples("domain", fake)

    @piece
    def real_domain(self, domain_of_real: Tensor) -> list[Tensor]:
        """(N, F) of each classifier."""
        return self.subject.networks["domain"].blocks(domain_of_real)

    @piece
    def fake_domain(self, domain_of_fake: Tensor) -> list[Tensor]:
        """(N, F) of each classifier."""
        return self.subject.networks["domain"].blocks(domain_of_fake)

    @piece
    def real_classes(self, domain_of_real: Tensor) -> Tensor:
        """(N,) int64: the classes that the classifiers predict, not the labels."""
        return self._classes("real", domain_of_real)

    @piece
    def fake_classes(self, domain_of_fake: Tensor) -> Tensor:
        """(N,) int64."""
        return self._classes("fake", domain_of_fake)

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
