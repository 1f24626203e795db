"""Negative log-likelihood under the probability-flow ODE, nats per example (Song et al. 2021, arXiv 2011.13456)."""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric


class ODENLLNats(LikelihoodMetric):
    """-log p(x), where an ODE maps p to N(0, I); for integers, with the bound of dequantisation.

    It is an estimate. Dequantisation gives a bound in expectation, and the estimated trace does not change this, but the
    solver's error may have either sign.
    """

    title = "ODE NLL"
    unit = "nats"

    def update(self, ode_log_prob: Tensor) -> None:
        """`ode_log_prob` (N,) nats."""
        self.keep(-ode_log_prob, Likelihood.ESTIMATE)
