"""Features of CLIP."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece


class CLIP(Kind):
    """`genarena.evaluation.backbones.CLIPFeatures`."""

    network = "clip"

    @piece
    def real_clip(self, real: Tensor) -> Tensor:
        """(N, 1024)."""
        return self.subject.networks.of_examples("clip", real)

    @piece
    def fake_clip(self, fake: Tensor) -> Tensor:
        """(N, 1024)."""
        return self.subject.networks.of_samples("clip", fake)

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("clip")
