"""Layers with an equalised learning rate: weights are N(0, 1) and scaled when they are used.

Karras et al. 2018 (arXiv 1710.10196, sec. 4.1). `activated` is the non-linearity between them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE, GAIN = 0.2, 2.0**0.5  # of leaky ReLUs, and what keeps the variance through one


class EqualLinear(nn.Module):
    """rate (W x / sqrt(fan-in) + b), W ~ N(0, 1) / rate: at the start as with rate 1, but it learns `rate` times as fast."""

    def __init__(self, in_features: int, out_features: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.rate * self.weight.shape[1] ** -0.5), self.rate * self.bias)


class EqualConv2d(nn.Module):
    """W * x / sqrt(fan-in) + b, of the same size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight * self.weight[0].numel() ** -0.5
        return F.conv2d(x, kernel, self.bias, padding=self.weight.shape[2] // 2)


def activated(x: Tensor) -> Tensor:
    return GAIN * F.leaky_relu(x, SLOPE)
