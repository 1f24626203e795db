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
        if piece == "train_features":
            return []
        whose = piece.partition("_")[0]
        return [f"{whose}_{settings.features.space_for(spec)}" if spec is None or spec.is_image else whose]

    @piece
    def real_features(self) -> Tensor:
        """(N, F), of test examples."""
        return self.get(self._source("real"))

    @piece
    def fake_features(self) -> Tensor:
        """(N, F), of samples."""
        return self.get(self._source("fake"))

    @piece
    def train_features(self, train: Tensor) -> Tensor:
        """(N, F), of all training examples."""
        self._refuse_sound()
        if not self.subject.data.spec.is_image:
            return train
        if self.shared.features.space == "auto" and self._space != "domain" and len(train) > MOST_UNASKED:
            raise Unavailable(
                f"features of {len(train):,} training images by a large network are made only if they are asked for: "
                f"features.space={self._space}"
            )
        return self.subject.networks.of_training_examples(self._space, train)

    @property
    def _space(self) -> str:
        return self.shared.features.space_for(self.subject.data.spec)

    def _refuse_sound(self) -> None:
        if self.subject.data.spec.is_sound:
            raise Unavailable(f"features are of images and vectors, and {self.subject.data.name} is sound")

    def _source(self, whose: str) -> str:
        """The name of the piece that has these features. Raises Unavailable for sound."""
        self._refuse_sound()
        if not self.subject.data.spec.is_image:
            return whose
        return f"{whose}_{self._space}"

    def facts(self, piece: str) -> dict[str, Any]:
        split = {"split": self.subject.split_name(self.shared.num_test)} if piece == "real_features" else {}
        if not self.subject.data.spec.is_image:
            return split | {"backbone": {"name": "identity"}}
        return split | self.subject.networks.facts(self._space) | {"space": self._space}
