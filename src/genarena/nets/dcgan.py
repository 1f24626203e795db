"""The convolutional stacks of DCGAN (Radford et al. 2016, arXiv 1511.06434, sec. 3), for images of any size from 8x8.

Kernels have stride 2, and are 4x4 unless the 5x5 of the paper are asked for: a kernel size that is a multiple of the stride
avoids checkerboard artefacts (Odena et al. 2016, doi 10.23915/distill.00003).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.conditioning import ContextLinear, pooled
from genarena.nets.gan_resnet import batch_norm
from genarena.nets.pyramid import pyramid


class DCGANGenerator(nn.Module):
    """Latent vectors (N, latent_dim), and a context (N, F) where there is one, to images (N, C, H, W) in [-1, 1].

    channels: width at half the image size; each further halving doubles it.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], channels: int, kernel: int = 4, context_features: int = 0
    ) -> None:
        super().__init__()
        self.sizes = pyramid(*shape[1:])[::-1]  # coarsest first
        widths = [channels * 2**level for level in reversed(range(len(self.sizes) - 1))] + [shape[0]]
        self.start = (widths[0], *self.sizes[0])
        self.project = nn.Linear(latent_dim, widths[0] * self.sizes[0][0] * self.sizes[0][1], bias=False)
        self.norms = nn.ModuleList(batch_norm(width, context_features) for width in widths[:-1])
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, kernel, 2, (kernel - 1) // 2, kernel % 2, bias=level == len(widths) - 2)
            for level, (before, after) in enumerate(pairwise(widths))
        )
        self.apply(normal_init).to(memory_format=torch.channels_last)  # up to 1.4x faster convolutions on a CPU

    def forward(self, z: Tensor, *context: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, self.start)
        for norm, convolution, (height, width) in zip(self.norms, self.convolutions, self.sizes[1:], strict=True):
            h = convolution(F.relu(norm(h, *context)))[
                ..., :height, :width
            ]  # crop: an odd side comes out one pixel too large
        return torch.tanh(h)


class DCGANDiscriminator(nn.Module):
    """Images (N, C, H, W) to logits (N,) of being real. No batch normalisation in the first layer; leaky ReLU, slope 0.2.

    With a context c (N, F) the projection (V c)^T h is added, h the features before the logit (Miyato & Koyama 2018).
    channels: width of the first layer; each further layer halves the image and doubles the width.
    """

    def __init__(self, shape: tuple[int, ...], channels: int, kernel: int = 4, context_features: int = 0) -> None:
        super().__init__()
        depth = len(pyramid(*shape[1:])) - 1
        widths = [shape[0]] + [channels * 2**level for level in range(depth)]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(before, after, kernel, stride=2, padding=(kernel - 1) // 2, bias=level == 0))
            layers += [nn.BatchNorm2d(after)] if level else []
            layers.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*layers, nn.Flatten())
        # An even kernel rounds an odd side down, an odd one up.
        height, width = pyramid(*shape[1:])[-1] if kernel % 2 else (shape[1] >> depth, shape[2] >> depth)
        features = widths[-1] * height * width
        self.logit = nn.Linear(features, 1)
        self.projection = nn.Linear(context_features, features, bias=False) if context_features else None
        self.apply(normal_init).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.features(x)
        logit = self.logit(h).squeeze(1)
        return logit if self.projection is None else logit + (self.projection(pooled(context)) * h).sum(1)

    @property
    def last(self) -> nn.Module:
        return self.logit


def normal_init(module: nn.Module) -> None:
    """Weights N(0, 0.02), scales of batch normalisation N(1, 0.02), biases 0 (DCGAN, sec. 4)."""
    if isinstance(module, ContextLinear):  # it starts at zero
        return
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(getattr(module, "bias", None), Tensor):
        nn.init.zeros_(module.bias)
