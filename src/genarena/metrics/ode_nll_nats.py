"""Negative log-likelihood under the probability-flow ODE, nats per example (Song et al. 2021, arXiv 2011.13456)."""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class ODENLLNats(LikelihoodMetric):
    """-log p(x), p carried to N(0, I) by an ODE; for integers with the noise and the loss of dequantisation.

    An estimate: dequantisation gives a bound in expectation, and the estimated trace keeps it one, but the error of the
    solver has no sign.
    """

    title = "ODE NLL"
    unit = "nats"

    def update(self, ode_log_prob: Tensor) -> None:
        """`ode_log_prob` (N,) nats."""
        self.keep(-ode_log_prob, Likelihood.ESTIMATE)
