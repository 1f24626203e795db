"""A replacement for the Inception network that returns pixels."""

from torch import Tensor


class Pixels:
    """Replaces the Inception network: features and logits are the pixels / 255."""

    digest, facts, libraries = "0" * 64, {"name": "pixels"}, ()

    def __init__(self, *_) -> None:
        pass

    def features_and_logits(self, x: Tensor, bars: object) -> tuple[Tensor, Tensor]:
        return self.features(x, bars), self.features(x, bars)

    def features(self, x: Tensor, bars: object) -> Tensor:
        return x.flatten(1).float() / 255.0
