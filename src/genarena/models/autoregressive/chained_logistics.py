"""Mixtures of discretised logistics over the chained channels of a pixel (Salimans et al. 2017, arXiv 1701.05517)."""

import math

import torch
from torch import Tensor

from genarena.distributions import DiscretisedLogisticMixture, discretised_logistic_log_prob
from genarena.likelihood import to_unit


class ChainedLogistics:
    """p(x_1 .. x_C) = sum_k w_k prod_c P(x_c | m_ck + sum_(j < c) a_cjk x_j, s_ck): all channels share a component k.

    Of network outputs (N, out_channels, H, W) per pixel: K logits, C K means, C K log-scales and C (C - 1) / 2 K
    coefficients, whose tanh is a. Values and means are in units of [-1, 1].
    """

    def __init__(self, num_channels: int, num_mixtures: int, num_levels: int) -> None:
        self.num_channels, self.num_mixtures, self.num_levels = num_channels, num_mixtures, num_levels
        self.sizes = [1, num_channels, num_channels, num_channels * (num_channels - 1) // 2]
        self.out_channels = num_mixtures * sum(self.sizes)

    def start(self, bias: Tensor) -> None:
        """Biases (out_channels,) with which the means of the components are evenly spaced, so that each gets data."""
        parts = bias.view(-1, self.num_mixtures).split(self.sizes)
        parts[1].copy_(torch.linspace(-1.0, 1.0, self.num_mixtures).expand_as(parts[1]))
        parts[2].fill_(-2.0)

    def channel(self, outputs: Tensor, previous: Tensor) -> DiscretisedLogisticMixture:
        """p(x_c | x_1 .. x_(c - 1)) of (N, 1, H, W), previous (N, c - 1, H, W) levels: a mixture whose weights are those of the
        components given the channels before."""
        logits, means, log_scales, coefficients = self._parts(outputs)
        index, values = previous.shape[1], to_unit(previous, self.num_levels)
        for before in range(index):
            logits = logits + self._component(means, log_scales, coefficients, values, before)
        mean = self._mean(means, coefficients, values, index)
        return DiscretisedLogisticMixture(
            logits.unsqueeze(2), mean.unsqueeze(2), log_scales[:, index].unsqueeze(2), self.num_levels
        )

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """(N, H, W) nats of levels x (N, C, H, W)."""
        logits, means, log_scales, coefficients = self._parts(outputs)
        values = to_unit(x, self.num_levels)
        joint = torch.log_softmax(logits, 1)
        for index in range(self.num_channels):
            joint = joint + self._component(means, log_scales, coefficients, values, index)
        return torch.logsumexp(joint, 1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Logits (N, K, H, W), and by channel means, log-scales and coefficients (N, ..., K, H, W)."""
        parts = outputs.float().unflatten(1, (-1, self.num_mixtures)).split(self.sizes, 1)
        floor = math.log(0.2 / (self.num_levels - 1))  # as in `PixelHead`
        return parts[0].squeeze(1), parts[1], parts[2].clamp(floor, 7.0), torch.tanh(parts[3])

    def _mean(self, means: Tensor, coefficients: Tensor, values: Tensor, index: int) -> Tensor:
        first = index * (index - 1) // 2
        return means[:, index] + sum(coefficients[:, first + j] * values[:, j : j + 1] for j in range(index))

    def _component(self, means: Tensor, log_scales: Tensor, coefficients: Tensor, values: Tensor, index: int) -> Tensor:
        """log P(x_c | component), (N, K, H, W)."""
        mean = self._mean(means, coefficients, values, index)
        return discretised_logistic_log_prob(values[:, index : index + 1], mean, log_scales[:, index], self.num_levels)
