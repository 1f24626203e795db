"""Divergence: how far the density of the model is from that which the data was drawn from, in nats, 0 if equal.

Kullback & Leibler 1951, doi 10.1214/aoms/1177729694; for data drawn from a density that is known.

The negative log-likelihood less the entropy of the data: 0 for a perfect model, in any set. The mean is over test examples of
the difference of the two log-densities, which varies less than each of them. A bound on the model's likelihood gives a bound
on the divergence, an estimate an estimate.
"""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class KLToTruth(LikelihoodMetric):
    """E_p[log p(x) - log q(x)] for the density p of the data and q of the model; with few examples it can be negative."""

    title = "KL to truth"
    unit = "nats"

    def update(self, true_log_prob: Tensor, log_prob: Tensor, likelihood: Likelihood, log_prob_error: float) -> None:
        """Log-densities (N,) nats of the same test examples."""
        self.keep(true_log_prob - log_prob, likelihood, log_prob_error)
