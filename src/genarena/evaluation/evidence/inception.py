"""Features and logits of Inception, the network of FID."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece

Outputs = tuple[Tensor, Tensor]  # features and logits, from one pass


class Inception(Kind):
    """`genarena.evaluation.backbones.InceptionFeatures`."""

    network = "inception"

    @piece
    def real_inception(self, real: Tensor) -> Tensor:
        """(N, 2048)."""
        return self.subject.networks.of_examples("inception", real)

    @piece
    def inception_outputs(self, fake: Tensor) -> Outputs:
        """Features (N, 2048) and logits (N, 1008) of the samples."""
        return self.subject.networks.features_and_logits("inception", fake)

    @piece
    def fake_inception(self, inception_outputs: Outputs) -> Tensor:
        """(N, 2048)."""
        return inception_outputs[0]

    @piece
    def fake_inception_logits(self, inception_outputs: Outputs) -> Tensor:
        """(N, 1008), without their bias."""
        return inception_outputs[1]

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.networks.facts("inception")
