"""The model's own log-likelihood of test examples."""

from typing import Any

from torch import Tensor

from genarena.data.batches import Split
from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable

LEAST_SHARE = 0.25  # of chains that have to agree on log Z


class LogLikelihood(Kind):
    """With one Monte-Carlo draw per example, if the model's `log_prob` draws."""

    @piece
    def likelihood(self) -> Likelihood:
        """The kind of likelihood that the model has; an instance may have a weaker one than its class."""
        return self.subject.model.likelihood

    @piece
    def log_prob(self, test: Split) -> Tensor:
        """(N,) float64 nats of test examples. Raises Unavailable for an estimate whose log Z rests on few chains."""
        self._require_chains()
        return self.subject.log_prob(test, 1, "log-likelihood")

    @piece
    def log_prob_error(self) -> float:
        """Standard error, in nats, that all values of `log_prob` share: that of an estimated log Z. 0 for most models."""
        return self.subject.model.estimator(1).get("log_z_standard_error", 0.0)

    def _require_chains(self) -> None:
        """With log-normal weights of 16 to 128 chains, log Z errs by 3 to 4 times its stated standard error, on average to the
        model's advantage, where a quarter of the chains are effective, and by more with fewer. From a half on it errs by
        less than twice as much.
        """
        made = self.subject.model.estimator(1) if self.subject.model.likelihood is Likelihood.ESTIMATE else {}
        if (effective := made.get("effective_chains")) is None or effective >= LEAST_SHARE * made["ais_chains"]:
            return
        raise Unavailable(
            f"log Z rests on {effective:.3g} effective of {made['ais_chains']} chains, fewer than a quarter: more "
            f"model.ais_steps (now {made['ais_steps']}) bring them together",
            {"estimator": made},
        )

    def facts(self, piece: str) -> dict[str, Any]:
        if piece != "log_prob":
            return {}
        return self.subject.given | {"draws": 1, "estimator": self.subject.model.estimator(1)}
