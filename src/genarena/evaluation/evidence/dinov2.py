"""Features of DINOv2."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece


class DINOv2(Kind):
    """`genarena.evaluation.backbones.DINOv2Features`."""

    network = "dinov2"

    @piece
    def real_dinov2(self, real: Tensor) -> Tensor:
        """(N, 1024)."""
        return self.subject.networks.of_examples("dinov2", real)

    @piece
    def fake_dinov2(self, fake: Tensor) -> Tensor:
        """(N, 1024)."""
        return self.subject.networks.of_samples("dinov2", fake)

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("dinov2")
