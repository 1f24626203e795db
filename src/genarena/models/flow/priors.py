"""Learned priors, written as bijections to a standard normal."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection
from genarena.models.flow.couplings import LARGEST, SplitCoupling, ZeroConv
from genarena.nets.conditioning import linear


class LearnedPrior(Bijection):
    """p(x) = N(mean, exp(2 log_scale)) with a mean and a scale per dimension: z = (x - mean) exp(-log_scale).

    With a context, a linear map of it is added to both, as in the reference code (`ycond`).
    """

    def __init__(self, shape: tuple[int, ...], context_features: int = 0) -> None:
        super().__init__()
        self.context = linear(context_features, 2 * math.prod(shape))
        self.mean = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.moments(len(x), context)
        return (x - mean) * torch.exp(-log_scale), -log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        mean, log_scale = self.moments(len(z), context)
        return z * torch.exp(log_scale) + mean

    def moments(self, num: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-scale, (num, *shape) each."""
        mean, log_scale = (part.expand(num, *part.shape) for part in (self.mean, self.log_scale))
        if self.context is None:
            return mean, log_scale
        shift, log_factor = self.context(context).view(num, 2, *self.mean.shape).unbind(1)
        return mean + shift, log_scale + log_factor


class LogisticPrior(Bijection):
    """p(x) = prod_d sigmoid(x_d) sigmoid(-x_d), the logistic prior of NICE (Dinh, Krueger & Bengio 2014, arXiv 1410.8516,
    sec. 3.4), of any shape: z = Phi^-1(sigmoid(x)).

    z is found in the lower tail, where floats are dense, and is at most that of |x| = `FARTHEST`; the density is that of x
    itself.
    """

    FARTHEST = 80.0

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = -torch.sign(x) * torch.special.ndtri(torch.sigmoid(-x.abs().clamp_max(self.FARTHEST)))
        log_logistic = F.logsigmoid(x) + F.logsigmoid(-x)
        return z, (log_logistic + 0.5 * z.square() + 0.5 * math.log(2.0 * math.pi)).flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)


class SplitPrior(SplitCoupling):
    """p(x_b | x_a) = N(-t(x_a), exp(-2 s(x_a))): a coupling whose second half is factored out; s and t are a convolution.

    Kingma & Dhariwal 2018, reference code (split2d).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(ZeroConv(channels // 2, channels))

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """No later layer reads the output of a prior and could amplify it: s has a wider range, and t is linear in x_a."""
        raw, shift = self.network(kept).to(kept.dtype).chunk(2, 1)
        return LARGEST * torch.tanh(raw / LARGEST), shift
