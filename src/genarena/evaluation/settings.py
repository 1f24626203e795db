"""The settings that all kinds of evidence share: the options `evaluation.*`. Those of a metric are `metric.<name>.*`."""

from dataclasses import dataclass, field
from typing import Literal

from genarena.evaluation.weights import FeatureSettings
from genarena.options import values
from genarena.options.values import Count, Seed


@dataclass(frozen=True)
class EvaluationSettings:
    """What a metric's number depends on is in its protocol; `batch_size` and `sample_seed` never are.

    num_samples: number of samples drawn from the model.
    num_test: largest number of test examples, drawn with a fixed seed, for evidence without a limit of its own.
    sample_seed: seed of sampling and of Monte-Carlo likelihoods, together with the seed of the run.
    features: which features are used, and the files of their weights.
    conditions: of the samples of a conditional model: "paired", those of the split's examples in turn; or "prompted", a fixed
        list: all labels, or all single attributes, in turn.
    split: "test"; or "val", to choose between models. Rows of "val" are never compared with rows of "test".
    Raises ValueError, with the option's name, for a value that is out of range.
    """

    num_samples: Count = 10_000
    num_test: Count = 10_000
    sample_seed: Seed = 0
    features: FeatureSettings = field(default_factory=FeatureSettings)
    conditions: Literal["paired", "prompted"] = "paired"
    split: Literal["test", "val"] = "test"

    def __post_init__(self) -> None:
        values.check_fields(self, "evaluation")
