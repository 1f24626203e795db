"""fd_domain of few samples against the validation split, for the curves and the choice of weights during training."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from genarena.data.base import ArenaDataModule
from genarena.evaluation.asked import Options, options_of
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.ranks import world
from genarena.training.callbacks.sample_quality import SampleQuality

METRIC = "fd_domain"
FEWEST, MOST = 128, 500  # samples per validation: twice the dimensions of the features, and what fast samplers draw
EVALUATIONS = 2_500  # of the network, per validation


def number(nfe: int) -> int:
    """Samples per validation of a sampler with `nfe` network evaluations each. It depends on no clock, so that a resumed run
    chooses the same weights."""
    return max(FEWEST, min(MOST, EVALUATIONS // max(1, nfe)))


class DomainDistance:
    """fd_domain of a model in eval mode on validation data; None where there is none (vectors, no labels, NaN samples)."""

    def __init__(self, data: ArenaDataModule, settings: EvaluationSettings, options: Options, num_val: int) -> None:
        self.data, self.settings, self.options, self.num_val = data, settings, options, num_val

    def __call__(self, model: GenerativeModel) -> float | None:
        few = {f"metric.{METRIC}.num_samples": number(model.nfe), f"metric.{METRIC}.num_test": self.num_val}
        on_val = replace(self.settings, split="val", sample_seed=0)
        alone = world.alone() if model.lockstep else nullcontext()  # sharded: all ranks draw all samples
        with alone:
            found = evaluate(model, self.data, [METRIC], on_val, {**self.options, **few}, progress=False)
        return found.metrics[METRIC]["value"]


def sample_quality(
    resolved: Mapping[str, Any], data: ArenaDataModule, settings: EvaluationSettings
) -> SampleQuality | None:
    """The callback of a run that asks for fd_domain; None for another one, which needs no domain classifier."""
    if METRIC not in resolved["metrics"]:
        return None
    return SampleQuality(DomainDistance(data, settings, options_of(resolved), resolved["budget"]["num_val"]))
