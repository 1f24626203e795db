"""Negative log-likelihood of a decoder with stated observation noise, nats per example (Wu et al. 2017, arXiv 1611.04273)."""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class AISNLLNats(LikelihoodMetric):
    """-log p(x), p(x) = E_z p(x|z), by annealed importance sampling; too high on average.

    `sandwich` in the record bounds the log-likelihood of simulated data from both sides, in nats.
    """

    title = "AIS NLL"
    unit = "nats"

    def update(self, ais_log_prob: Tensor) -> None:
        """`ais_log_prob` (N,) nats."""
        self.keep(-ais_log_prob, Likelihood.ESTIMATE)
