"""How much is measured, and how: the numbers of a protocol, checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from genarena.evaluation.weights import FeatureSettings


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is measured; part of the protocol.

    num_samples: how many examples are drawn from the model.
    num_test, iw_num_test: at most so many examples of the test split, drawn with a fixed seed, for everything that looks
        at real data, and for the importance-weighted bound.
    iw_samples: draws k per example of the importance-weighted bound.
    iw_bounds_k, iw_bounds_num_test: draws, rising, and test examples of the bound as a curve over k.
    ode_num_test, ode_tolerance, ode_probes, ode_dequantisation: test examples of the probability-flow likelihood, absolute
        and relative tolerance of its solver, probes of its trace estimator, and "model" or "uniform" noise on levels.
    ais_num_test, ais_chains, ais_steps, ais_sigma: test examples, chains per example and temperatures of annealed
        importance sampling for decoders, and their observation noise, in units of [-1, 1] for levels.
    batch_size: examples per call of the model.
    sample_seed: seed of the global generator before sampling and before each likelihood.
    features: which features, from which files of weights.
    split: "test"; or "val", for choosing between models, whose rows never meet those of the test split.
    """

    num_samples: int = 10_000
    num_test: int = 10_000
    iw_samples: int = 100
    iw_num_test: int = 1_000
    iw_bounds_k: Sequence[int] = (1, 10, 100, 1000, 5000)
    iw_bounds_num_test: int = 16
    ode_num_test: int = 64
    ode_tolerance: float = 1e-5
    ode_probes: int = 1
    ode_dequantisation: str = "model"
    ais_num_test: int = 16
    ais_chains: int = 8
    ais_steps: int = 500
    ais_sigma: float = 0.2
    batch_size: int = 500
    sample_seed: int = 0
    features: FeatureSettings = field(default_factory=FeatureSettings)
    split: str = "test"

    def __post_init__(self) -> None:
        object.__setattr__(self, "iw_bounds_k", tuple(self.iw_bounds_k))
        if self.split not in ("test", "val"):
            raise ValueError(f"evaluation.split={self.split}: expected test or val")
        for name, value in self.numbers().items():
            if name in ("ode_tolerance", "ais_sigma"):
                expected, right = "a positive number", _is_positive(value)
            elif name == "ode_dequantisation":
                expected, right = "model or uniform", value in ("model", "uniform")
            elif name == "iw_bounds_k":
                expected = "rising whole numbers of at least 1"
                right = len(value) > 0 and all(_is_whole(k, 1) for k in value) and list(value) == sorted(set(value))
            else:
                least = 0 if name == "sample_seed" else 1
                expected, right = f"a whole number of at least {least}", _is_whole(value, least)
            if not right:
                raise ValueError(f"evaluation.{name}={value}: expected {expected}")

    def numbers(self) -> dict[str, Any]:
        """The settings without `features`, whose paths differ from machine to machine, and without `split`."""
        values = {
            item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("features", "split")
        }
        return values | {"iw_bounds_k": list(self.iw_bounds_k)}


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < math.inf
