"""Importance-weighted bound on the negative log-likelihood, nats per example (Burda et al. 2016, arXiv 1509.00519)."""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class ImportanceWeightedNLLNats(LikelihoodMetric):
    """-E[log(1/k sum_k p(x, z_k) / q(z_k | x))] >= -log p(x); the bound is tighter for larger k."""

    title = "IW NLL"
    unit = "nats"

    def update(self, iw_log_prob: Tensor, likelihood: Likelihood) -> None:
        """`iw_log_prob` (N,) nats, from k draws."""
        self.keep(-iw_log_prob, likelihood)
