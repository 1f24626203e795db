"""Checks of the metrics of codes on a linear-Gaussian model, whose parts have closed forms."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, Parts
from genarena.models.baseline.uniform import Uniform
from genarena.models.splitting import Splits
from genarena.models.vae.aggregate_posterior import index_information
from genarena.published.checks import Check, Given, by_evaluation, normal, of
from genarena.spec import DataSpec

LINE = DataSpec((2,))
GAIN, SPREAD = 0.8, 0.5  # q(z|x) = N(GAIN x_1, SPREAD^2) in one dimension; a second one says nothing
MANY = 1000


class _Codes(Uniform, Splits):
    """p(z) = N(0, I) of two dimensions, the second unused; p(x|z) = N(0, I)."""

    likelihood = Likelihood.LOWER_BOUND

    def __init__(self) -> None:
        super().__init__(LINE)

    def parts(self, x: Tensor, y: Tensor | None = None) -> Parts:
        mean = GAIN * x[:, :1]
        rate = 0.5 * (mean.square() + SPREAD**2 - 1.0 - 2.0 * math.log(SPREAD))
        unused = torch.zeros_like(mean)
        return Parts(self.distortion(x), torch.cat([rate, unused], 1), torch.cat([mean, unused], 1), (1, 1))

    @staticmethod
    def distortion(x: Tensor) -> Tensor:
        return -torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        q = torch.distributions.Normal(GAIN * x[:, 0], SPREAD)
        z = q.sample()
        return index_information(z[:, None], q.log_prob(z), lambda part: q.log_prob(part))


@of("rate_nats", "distortion_nats", "active_units", "information_nats")
def parts_of_a_linear_bound() -> Iterator[Check]:
    """Means over the test examples of closed forms; the information by quadrature of its entropy over the code."""
    x = normal(MANY, 2, seed=31).float()
    model, data = _Codes(), Given(LINE, x, x[:10], x)
    rate = 0.5 * ((GAIN * x[:, 0]).square().mean().item() + SPREAD**2 - 1.0 - 2.0 * math.log(SPREAD))
    yield Check("rate of a linear encoder", by_evaluation(model, data, "rate_nats"), "closed form", rate, 1e-5)
    left = _Codes.distortion(x).mean().item()
    yield Check("  its distortion", by_evaluation(model, data, "distortion_nats"), "closed form", left, 1e-5)
    yield Check("  its active units, of two", by_evaluation(model, data, "active_units"), "by construction", 1.0, 0.0)
    z = torch.linspace(-8.0, 8.0, 16_001, dtype=torch.float64)
    each = torch.distributions.Normal(GAIN * x[:, 0].double(), SPREAD).log_prob(z[:, None])  # (M, N)
    entropy = (torch.special.entr(each.softmax(1)).sum(1) * each.exp().mean(1)).sum().item() * 1e-3
    value = by_evaluation(model, data, "information_nats")
    yield Check("  and its information", value, "log N - E H(n|z), 4 standard errors", math.log(MANY) - entropy, 0.1)
