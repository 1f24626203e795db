"""Bits per dimension: the bits that the model needs for each value (pixel and channel) of a test example, stored without loss.

-log2 P(x) / D of integer data, the mean over test examples. Theis, van den Oord & Bethge 2016, arXiv 1511.01844, sec. 3.1: a
density of dequantised pixels gives a bound on P(x).
"""

from torch import Tensor

from genarena import likelihood as units
from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric, Unavailable
from genarena.spec import DataSpec


class BitsPerDim(LikelihoodMetric):
    """-log P(x) / (D log 2). A uniform model scores log2(num_levels)."""

    title = "bits/dim"
    unit = "bits/dim"

    def update(self, log_prob: Tensor, spec: DataSpec, likelihood: Likelihood, log_prob_error: float = 0.0) -> None:
        """`log_prob` (N,) nats; `log_prob_error`: a standard error common to all of them, nats."""
        if not spec.is_discrete:
            raise Unavailable("bits per dimension are for integer data; nll_nats holds the log-density")
        shared = -units.bits_per_dim(log_prob.new_tensor(log_prob_error), spec.num_dims).item()
        self.keep(units.bits_per_dim(log_prob.double(), spec.num_dims), likelihood, shared)
