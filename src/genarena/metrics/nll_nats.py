"""Negative log-likelihood in nats per example, the mean over test examples.

Theis, van den Oord & Bethge 2016, arXiv 1511.01844, sec. 3.1: of integers a mass, of continuous data a density.
"""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class NLLNats(LikelihoodMetric):
    """-log P(x) for integer data, -log p(x) (a log-density, which can be below 0) for continuous data."""

    title = "NLL"
    unit = "nats"

    def update(self, log_prob: Tensor, likelihood: Likelihood, log_prob_error: float = 0.0) -> None:
        """`log_prob` (N,) nats, one Monte-Carlo draw where the model's bound takes draws; `log_prob_error`: the standard
        error that all of them share."""
        self.keep(-log_prob, likelihood, log_prob_error)
