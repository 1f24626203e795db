"""Affine couplings and the networks inside them (Dinh, Sohl-Dickstein & Bengio 2017, arXiv 1605.08803, sec. 3.2).

    z_a = x_a,    z_b = (x_b + t(x_a)) * exp(s(x_a)),    log |det| = sum s(x_a)

`SplitCoupling` divides channels in halves (Glow), `MaskedCoupling` divides by a binary mask (RealNVP), and so does
`AdditiveCoupling`, in which s = 0 (NICE). A network
returns s and t stacked over channels and starts at zero, so that a new coupling is the identity. With a condition, a linear
map of the context is added to the features after the first layer of a network.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genarena.models.flow.bijection import Bijection
from genarena.nets.conditioning import WithContext, linear

LIMIT = 1.0  # upper limit of |s| in a chain of couplings
LARGEST = 3.0  # upper limit of |s| in a prior, and of a learned limit: the inverse stays finite in float32


class SplitCoupling(Bijection):
    """The first half of the channels is the condition, the second is changed; s is limited softly, s = L tanh(raw / L).

    The network reads asinh(x_a). A ReLU network grows linearly for large inputs, and each coupling would pass still larger
    values to the next one, until float32 overflows. Glow's reference code avoids this by a scale below 1, which costs
    likelihood (`SigmoidCoupling`).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, 1)
        log_scale, shift = self.scale_and_shift(kept, context)
        return torch.cat([kept, (changed + shift) * torch.exp(log_scale)], 1), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        kept, changed = z.chunk(2, 1)
        log_scale, shift = self.scale_and_shift(kept, context)
        return torch.cat([kept, changed * torch.exp(-log_scale) - shift], 1)

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(torch.asinh(kept), context).to(kept.dtype).chunk(2, 1)
        return LIMIT * torch.tanh(raw / LIMIT), shift


class SigmoidCoupling(SplitCoupling):
    """The coupling of Glow's reference code: the network reads x_a itself, and exp(s) = sigmoid(raw + 2) is below 1."""

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(kept, context).to(kept.dtype).chunk(2, 1)
        return F.logsigmoid(raw + 2.0), shift


class MaskedCoupling(Bijection):
    """Inputs where `mask` is 1 are kept and are the condition; s = a tanh(raw) with a learned a per channel (sec. 4.1)."""

    outputs = 2  # of the network, per dimension

    def __init__(self, network: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mask", mask, persistent=False)
        self.scale = nn.Parameter(torch.ones(len(mask), *[1] * (mask.dim() - 1)))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.scale_and_shift(x, context)
        return (x + shift) * torch.exp(log_scale), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        log_scale, shift = self.scale_and_shift(z, context)
        return z * torch.exp(-log_scale) - shift

    def scale_and_shift(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and t, same shape as x, zero where the mask is 1. They are the same for x and z, which agree there."""
        raw, shift = self.network(x * self.mask, context).to(x.dtype).chunk(2, 1)
        changed = 1.0 - self.mask
        return self.scale.clamp(-LARGEST, LARGEST) * torch.tanh(raw) * changed, shift * changed


class AdditiveCoupling(Bijection):
    """z = x + (1 - mask) t(mask x): the volume stays the same (Dinh, Krueger & Bengio 2014, arXiv 1410.8516, sec. 3.2)."""

    outputs = 1

    def __init__(self, network: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x + self.shift(x, context), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z - self.shift(z, context)

    def shift(self, x: Tensor, context: Tensor | None) -> Tensor:
        """t, same shape as x, zero where the mask is 1."""
        return (1.0 - self.mask) * self.network(x * self.mask, context).to(x.dtype)


def checkerboard(shape: tuple[int, ...], flip: bool) -> Tensor:
    """(C, H, W) with ones where row + column is even (odd if `flip`); for vectors (D,) ones at even places."""
    places = sum(torch.meshgrid(*[torch.arange(size) for size in shape[-2:]], indexing="ij"))
    return ((places + flip) % 2 == 0).float().expand(shape).clone()


def channel_mask(shape: tuple[int, ...], flip: bool) -> Tensor:
    """(C, H, W) with ones in the first half of the channels (the second if `flip`)."""
    first = torch.arange(shape[0]) < shape[0] // 2
    return (first != flip).float().view(-1, 1, 1).expand(shape).clone()


def folding(patch: int) -> tuple[nn.Module, nn.Module]:
    """Modules that fold patches of pixels into channels, and back; identities for patch = 1."""
    return (nn.PixelUnshuffle(patch), nn.PixelShuffle(patch)) if patch > 1 else (nn.Identity(), nn.Identity())


class ZeroConv(nn.Conv2d):
    """3x3 convolution that starts at zero, times exp(3 g) with a learned g per channel (Glow's reference code)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.log_gain = nn.Parameter(torch.zeros(out_channels))
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        gain = torch.exp(3.0 * self.log_gain)
        x = x.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, self.weight * gain.view(-1, 1, 1, 1), self.bias * gain, padding=1)


class ConvNetwork(nn.Module):
    """3x3, 1x1, 3x3 convolutions with ReLU (Glow, sec. 4), on `patch` x `patch` pixels at a time.

    size: (H, W) of the input, for a learned bias per position; None leaves it out. context_features: size of the context.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        patch: int = 1,
        size: tuple[int, int] | None = None,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.fold, self.unfold = folding(patch)
        self.first = nn.Conv2d(in_channels * patch**2, hidden_channels, 3, padding=1)
        self.position = PositionBias(hidden_channels, size[0] // patch, size[1] // patch) if size else nn.Identity()
        self.context = linear(context_features, hidden_channels)
        self.second = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.last = ZeroConv(hidden_channels, out_channels * patch**2)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = self.fold(x).contiguous(memory_format=torch.channels_last)
        x = F.relu(with_context(self.position(self.first(x)), self.context, context), inplace=True)
        x = F.relu(self.second(x), inplace=True)
        return self.unfold(self.last(x))


class ResidualNetwork(nn.Module):
    """Weight-normalised residual convolutional network (RealNVP, sec. 4.1), on `patch` x `patch` pixels at a time."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_blocks: int,
        patch: int = 1,
        size: tuple[int, int] | None = None,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.fold, self.unfold = folding(patch)
        self.first = weight_norm(nn.Conv2d(in_channels * patch**2, hidden_channels, 3, padding=1))
        self.position = PositionBias(hidden_channels, size[0] // patch, size[1] // patch) if size else nn.Identity()
        self.context = linear(context_features, hidden_channels)
        self.blocks = nn.Sequential(*[ResidualBlock(hidden_channels) for _ in range(num_blocks)])
        self.last = ZeroConv(hidden_channels, out_channels * patch**2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = self.fold(x).contiguous(memory_format=torch.channels_last)
        x = self.blocks(with_context(self.position(self.first(x)), self.context, context))
        return self.unfold(self.last(F.relu(x)))


def with_context(features: Tensor, layer: nn.Linear | None, context: Tensor | None) -> Tensor:
    """features (N, C, H, W) + layer(context), the same at all places; unchanged without a context."""
    return features if layer is None or context is None else features + layer(context)[:, :, None, None]


class PositionBias(nn.Module):
    """A learned bias per channel and place, which starts at zero."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        bias = torch.zeros(1, channels, height, width).contiguous(memory_format=torch.channels_last)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias.to(x.dtype)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), 3x3, weight-normalised; the branch starts small."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
        self.first, self.second = weight_norm(first), weight_norm(second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x)), inplace=True))


class VectorNetwork(WithContext):
    """Hidden layers with SiLU, for vectors; the last layer starts at zero."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int,
        context_features: int = 0,
        num_hidden_layers: int = 2,
    ) -> None:
        last = nn.Linear(hidden_features, out_features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        widths = [in_features + context_features, *[hidden_features] * num_hidden_layers]
        hidden = [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.SiLU())]
        super().__init__(*hidden, last)
