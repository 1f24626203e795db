"""The likelihood of a decoder with stated observation noise (Wu et al. 2017, arXiv 1611.04273)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.evaluation import blocks
from genarena.evaluation.decoder_likelihood import Annealing, decoder_log_prob
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.models.capabilities import Emits
from genarena.options.settings import Settings
from genarena.options.values import Count, Positive
from genarena.ranks import exchange, seeds
from genarena.spec import Batch

Estimate = tuple[Tensor, dict[str, Any]]  # log-probabilities (N,), and the facts of the estimate


@dataclass(frozen=True)
class AnnealedSettings(Settings):
    """num_test: largest number of test examples. chains: per example. steps: number of temperatures.
    sigma: standard deviation of the observation noise, in units of [-1, 1] for integer levels."""

    num_test: Count = 16
    chains: Count = 8
    steps: Count = 500
    sigma: Positive = 0.2


class AnnealedImportanceSampling(Kind):
    """log p(x) = log E_z p(x|z), estimated by chains from the prior of z to its posterior."""

    Settings = AnnealedSettings

    @piece
    def ais_estimate(self) -> Estimate:
        """(N,) float64 nats of `num_test` examples, and the facts of the chains. Only rank 0 computes it."""
        subject, settings = self.subject, self.settings
        if not isinstance(subject.model, Emits):
            raise Unavailable(f"{subject.model_name} is no decoder of a Gaussian latent code")
        if subject.model.bijective:
            raise Unavailable(f"{subject.model_name} has a density of its own, without observation noise")
        x, y = subject.on_device(subject.test(settings.num_test))
        rows, seed = blocks.block_size(subject.data.spec), seeds.derived(*subject.seeds)
        annealing = Annealing(settings.sigma, settings.chains, settings.steps, rows, seed)
        return exchange.from_zero(
            lambda: decoder_log_prob(subject.model, subject.data.spec, Batch(x, y), annealing, subject.bars)
        )

    @piece
    def ais_log_prob(self, ais_estimate: Estimate) -> Tensor:
        """(N,) float64 nats of `num_test` test examples."""
        return ais_estimate[0]

    def facts(self, piece: str) -> dict[str, Any]:
        split = self.subject.split_name(self.settings.num_test)
        return self.subject.given | {"split": split, "estimator": self.get("ais_estimate")[1]}
