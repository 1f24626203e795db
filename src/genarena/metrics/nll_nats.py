"""Negative log-likelihood: how improbable the model finds a test example, -log p(x) in nats, the mean over test examples.

Theis, van den Oord & Bethge 2016, arXiv 1511.01844, sec. 3.1: integer data has a probability mass, continuous data a density.
"""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class NLLNats(LikelihoodMetric):
    """-log P(x) for integer data, -log p(x) (a log-density, which can be below 0) for continuous data."""

    title = "NLL"
    unit = "nats"

    def update(self, log_prob: Tensor, likelihood: Likelihood, log_prob_error: float = 0.0) -> None:
        """`log_prob` (N,) nats, with one Monte-Carlo draw if the model's bound needs draws; `log_prob_error`: a standard
        error common to all of them, nats."""
        self.keep(-log_prob, likelihood, log_prob_error)
