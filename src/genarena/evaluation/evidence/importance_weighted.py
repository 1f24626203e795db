"""The importance-weighted bound on the log-likelihood (Burda et al. 2016, arXiv 1509.00519)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.options.settings import Settings
from genarena.options.values import Count


@dataclass(frozen=True)
class ImportanceWeightedSettings(Settings):
    """draws: k, per example. num_test: largest number of test examples."""

    draws: Count = 100
    num_test: Count = 1_000


class ImportanceWeighted(Kind):
    """log(1/k sum_k p(x, z_k) / q(z_k | x)), from `draws` draws z_k ~ q."""

    Settings = ImportanceWeightedSettings

    @piece
    def iw_log_prob(self) -> Tensor:
        """(N,) float64 nats of `num_test` test examples."""
        self.subject.require_weights()
        draws, split = self.settings.draws, self.subject.test(self.settings.num_test)
        return self.subject.log_prob(split, draws, f"importance-weighted bound, k={draws}")

    def facts(self, piece: str) -> dict[str, Any]:
        draws, split = self.settings.draws, self.subject.split_name(self.settings.num_test)
        return self.subject.given | {"split": split, "draws": draws, "estimator": self.subject.model.estimator(draws)}
