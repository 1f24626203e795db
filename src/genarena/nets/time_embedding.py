"""Sinusoidal features of a noise time t in [0, 1], and the small network that turns them into a vector."""

import math

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import linear

SCALE = 1000.0  # t = 1 has the phase of step 1000 in DDPM, whatever the number of steps


def sinusoidal_features(t: Tensor, num_features: int) -> Tensor:
    """[cos(w_i t), sin(w_i t)], w_i geometric from `SCALE` down to SCALE / 10^4; t (N,) -> (N, num_features).

    num_features must be even.
    """
    half = num_features // 2
    frequencies = SCALE * torch.exp(-math.log(1e4) * torch.arange(half, device=t.device) / half)
    phase = t.to(torch.promote_types(t.dtype, torch.float32))[:, None] * frequencies
    return torch.cat([phase.cos(), phase.sin()], 1)


class TimeEmbedding(nn.Module):
    """t (N,) in [0, 1] -> (N, embedding_channels), after a final SiLU; a linear map of a context (N, F) is added before it."""

    def __init__(self, embedding_channels: int, num_features: int = 64, context_features: int = 0) -> None:
        super().__init__()
        self.num_features = num_features
        self.context = linear(context_features, embedding_channels)
        self.layers = nn.Sequential(
            nn.Linear(num_features, embedding_channels),
            nn.SiLU(),
            nn.Linear(embedding_channels, embedding_channels),
            nn.SiLU(),
        )

    def forward(self, t: Tensor, context: Tensor | None = None) -> Tensor:
        features = sinusoidal_features(t, self.num_features)
        if self.context is None:
            return self.layers(features)
        return self.layers[-1](self.layers[:-1](features) + self.context(context))
