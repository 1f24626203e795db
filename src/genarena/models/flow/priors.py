"""Learned priors, written as bijections to a standard normal."""

import torch
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection
from genarena.models.flow.couplings import LARGEST, SplitCoupling, ZeroConv


class LearnedPrior(Bijection):
    """p(x) = N(mean, exp(2 log_scale)) with a mean and a scale per dimension: z = (x - mean) exp(-log_scale)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.mean) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return z * torch.exp(self.log_scale) + self.mean


class SplitPrior(SplitCoupling):
    """p(x_b | x_a) = N(-t(x_a), exp(-2 s(x_a))): a coupling whose second half is factored out; s and t are a convolution.

    Kingma & Dhariwal 2018, reference code (split2d).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(ZeroConv(channels // 2, channels))

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """No later layer reads the output of a prior and could amplify it: s has a wider range, and t is linear in x_a."""
        raw, shift = self.network(kept).to(kept.dtype).chunk(2, 1)
        return LARGEST * torch.tanh(raw / LARGEST), shift
