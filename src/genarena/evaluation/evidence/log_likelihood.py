"""The model's own log-likelihood of test examples."""

from typing import Any

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import Likelihood


class LogLikelihood(Kind):
    """With one Monte-Carlo draw per example, if the model's `log_prob` draws."""

    @piece
    def likelihood(self) -> Likelihood:
        """The kind of likelihood that the model has; an instance may have a weaker one than its class."""
        return self.subject.model.likelihood

    @piece
    def log_prob(self) -> Tensor:
        """(N,) float64 nats of the `real` examples."""
        return self.subject.log_prob(self.settings.num_test, 1, "log-likelihood")

    @piece
    def log_prob_error(self) -> float:
        """Standard error, in nats, that all values of `log_prob` share: that of an estimated log Z. 0 for most models."""
        return self.subject.model.estimator(1).get("log_z_standard_error", 0.0)

    def facts(self, piece: str) -> dict[str, Any]:
        if piece != "log_prob":
            return {}
        split = self.subject.split_name(self.settings.num_test)
        return self.subject.given | {"split": split, "draws": 1, "estimator": self.subject.model.estimator(1)}
