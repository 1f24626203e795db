"""Networks over the characters of a text, and over frames of sound: convolutions that see nothing of the padding.

A layer is h <- h + dropout(gelu(conv(m norm(h)))), m the mask, norm over the channels of each place (Ba, Kiros & Hinton 2016,
arXiv 1607.06450). What a place gets does not depend on the padding behind a text, so it does not depend on the batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualConvolutions(nn.Module):
    """h (N, channels, T) to the same shape, zero where the mask (N, 1, T) is.

    dilation_cycle: dilations are 1, 2, 4, ... and begin anew after so many layers. dropout: share of a layer's outputs. Raises
    ValueError for an even kernel.
    """

    def __init__(
        self, channels: int, num_layers: int, kernel_size: int = 5, dilation_cycle: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}: expected an odd size")
        dilations = [2 ** (layer % dilation_cycle) for layer in range(num_layers)]
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=dilation * (kernel_size // 2))
            for dilation in dilations
        )
        self.dropout = dropout

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            inner = F.gelu(convolution(norm(h.mT).mT * mask))
            h = h + F.dropout(inner, self.dropout, self.training)
        return h * mask


class CharacterEncoder(nn.Module):
    """Tokens (N, L) to h (N, channels, L); padding (0) is zero. Without layers it is an embedding. size: of the vocabulary."""

    def __init__(self, size: int, channels: int, num_layers: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, channels)
        self.convolutions = ResidualConvolutions(channels, num_layers, kernel_size, dropout=dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = (tokens != 0)[:, None].float()
        return self.convolutions(self.embedding(tokens).mT * mask, mask)


class DurationPredictor(nn.Module):
    """States h (N, channels, L) of characters to the middle (N, L) of the logarithm of their frames, at first log 5."""

    def __init__(self, channels: int, num_layers: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = ResidualConvolutions(channels, num_layers, kernel_size, dropout=dropout)
        self.out = nn.Conv1d(channels, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, math.log(5.0))

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        return self.out(self.convolutions(h, mask))[:, 0]


class FrameDecoder(nn.Module):
    """States of characters, where a frame lies in its character, to an output per frame that starts at zero.

    h (N, channels, L), owner, before (N, T) as `alignment.owners` gives them, durations (N, L), mask (N, 1, T) to
    (N, out_channels, T).
    """

    def __init__(
        self, channels: int, out_channels: int, num_layers: int, kernel_size: int, dilation_cycle: int, dropout: float
    ) -> None:
        super().__init__()
        self.place = nn.Linear(3, channels)
        self.convolutions = ResidualConvolutions(channels, num_layers, kernel_size, dilation_cycle, dropout)
        self.out = nn.Conv1d(channels, out_channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, owner: Tensor, before: Tensor, durations: Tensor, mask: Tensor) -> Tensor:
        length = durations.gather(1, owner).clamp_min(1).float()
        places = torch.stack([(before + 0.5) / length, 1.0 / length, length.log()], 2)
        frames = (gathered(h, owner) + self.place(places).mT) * mask
        return self.out(self.convolutions(frames, mask))


def gathered(h: Tensor, owner: Tensor) -> Tensor:
    """(N, C, T): of each frame the state of its character, h (N, C, L), owner (N, T)."""
    return h.gather(2, owner[:, None].expand(-1, h.shape[1], -1))
