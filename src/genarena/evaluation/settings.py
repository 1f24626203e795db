"""The settings that an evaluation has once, `evaluation.*`. Those of evidence and metrics stand beside these."""

from dataclasses import dataclass, field
from typing import Literal

from genarena.evaluation.weights import FeatureSettings
from genarena.options import values
from genarena.options.values import Seed


@dataclass(frozen=True)
class EvaluationSettings:
    """What a metric's number depends on is in its protocol; `sample_seed` never is.

    sample_seed: seed of sampling and of Monte-Carlo likelihoods, together with the seed of the run.
    features: which features are used, and the files of their weights.
    split: "test"; or "val", to choose between models. Rows of "val" are never compared with rows of "test".
    Raises ValueError, with the option's name, for a value that is out of range.
    """

    sample_seed: Seed = 0
    features: FeatureSettings = field(default_factory=FeatureSettings)
    split: Literal["test", "val"] = "test"

    def __post_init__(self) -> None:
        values.check_fields(self, "evaluation")
