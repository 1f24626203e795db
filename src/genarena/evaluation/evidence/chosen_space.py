"""Features in the space that `features.space` names; vectors are their own features."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.settings import EvaluationSettings
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

MOST_UNASKED = 20_000  # training images; EfficientNet takes 1/20 s for one on a CPU core


class ChosenSpace(Kind):
    """Features for metrics of neighbours and of diversity."""

    in_chosen_space = True

    @classmethod
    def asks(cls, piece: str, settings: EvaluationSettings, spec: DataSpec | None) -> list[str]:
        if piece == "train_features" or (spec is not None and not spec.is_image):
            return []
        return [f"{piece.partition('_')[0]}_{settings.features.space_for(spec)}"]

    @piece
    def real_features(self, real: Tensor) -> Tensor:
        """(N, F), of test examples."""
        return self._features("real", real)

    @piece
    def fake_features(self, fake: Tensor) -> Tensor:
        """(N, F), of samples."""
        return self._features("fake", fake)

    @piece
    def train_features(self, train: Tensor) -> Tensor:
        """(N, F), of all training examples."""
        self._refuse_sound()
        if not self.subject.data.spec.is_image:
            return train
        if self.subject.settings.features.space == "auto" and self._space != "domain" and len(train) > MOST_UNASKED:
            raise Unavailable(
                f"features of {len(train):,} training images by a large network are made only if they are asked for: "
                f"features.space={self._space}"
            )
        return self.subject.networks.of_training_examples(self._space, train)

    @property
    def _space(self) -> str:
        return self.subject.settings.features.space_for(self.subject.data.spec)

    def _refuse_sound(self) -> None:
        if self.subject.data.spec.is_sound:
            raise Unavailable(f"features are of images and vectors, and {self.subject.data.name} is sound")

    def _features(self, whose: str, x: Tensor) -> Tensor:
        self._refuse_sound()
        return self.get(f"{whose}_{self._space}") if self.subject.data.spec.is_image else x

    def facts(self, piece: str) -> dict[str, Any]:
        if not self.subject.data.spec.is_image:
            return {"backbone": {"name": "identity"}}
        return self.subject.networks.facts(self._space) | {"space": self._space}
