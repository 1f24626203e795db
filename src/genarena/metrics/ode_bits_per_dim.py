"""Bits per dimension of integer data under the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, sec. 4.3)."""

from torch import Tensor

from genarena import likelihood as units
from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric, Unavailable
from genarena.spec import DataSpec


class ODEBitsPerDim(LikelihoodMetric):
    """-log P(x) / (D log 2): the value of `ode_nll_nats` in bits/dim."""

    title = "ODE bits/dim"
    unit = "bits/dim"

    def update(self, ode_log_prob: Tensor, spec: DataSpec) -> None:
        """`ode_log_prob` (N,) nats."""
        if not spec.is_discrete:
            raise Unavailable("bits per dimension are for integer data; ode_nll_nats holds the log-density")
        self.keep(units.bits_per_dim(ode_log_prob.double(), spec.num_dims), Likelihood.ESTIMATE)
