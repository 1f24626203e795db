"""Features of EfficientNet-Lite0."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece


class EfficientNet(Kind):
    """`genarena.evaluation.backbones.EfficientNetFeatures`."""

    network = "efficientnet"

    @piece
    def real_efficientnet(self, real: Tensor) -> Tensor:
        """(N, 1280)."""
        return self.subject.networks.of_examples("efficientnet", real)

    @piece
    def fake_efficientnet(self, fake: Tensor) -> Tensor:
        """(N, 1280)."""
        return self.subject.networks.of_samples("efficientnet", fake)

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("efficientnet")
