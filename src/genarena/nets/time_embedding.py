"""Sinusoidal features of a time, and the small network that turns them into a vector (Ho et al. 2020, arXiv 2006.11239).

Maps along a path have two times, that of x and how far to go (`models/diffusion/flow_map.py`); the network gets the features
of both.
"""

import math

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import linear

TIME_SCALE = 1000.0  # t = 1 has the phase of step 1000 in DDPM, whatever the number of steps


def sinusoidal_features(t: Tensor, num_features: int, time_scale: float = TIME_SCALE, endpoint: bool = False) -> Tensor:
    """[cos(w_i t), sin(w_i t)], w_i geometric from `time_scale` down to 10^-4 of it; t (N,) -> (N, num_features).

    num_features must be even. endpoint: the last w_i is 10^-4 of the first; else it would be the next one.
    """
    half = num_features // 2
    exponents = torch.arange(half, device=t.device) / (half - endpoint)
    frequencies = time_scale * torch.exp(-math.log(1e4) * exponents)
    phase = t.to(torch.promote_types(t.dtype, torch.float32))[:, None] * frequencies
    return torch.cat([phase.cos(), phase.sin()], 1)


class TimeEmbedding(nn.Module):
    """t (N,), or (N, num_times) -> (N, embedding_channels), after a final SiLU; a linear map of a context (N, F) is added
    before it.

    time_scale: the highest frequency in t. 1000 is for times in [0, 1] of which a thousandth matters, smaller ones for
    functions that are smooth in t, or for times of another range, such as the logarithm of a noise level.
    """

    def __init__(
        self,
        embedding_channels: int,
        num_features: int = 64,
        context_features: int = 0,
        time_scale: float = TIME_SCALE,
        endpoint: bool = False,
        num_times: int = 1,
    ) -> None:
        super().__init__()
        self.num_features, self.time_scale, self.endpoint = num_features, time_scale, endpoint
        self.context = linear(context_features, embedding_channels)
        self.layers = nn.Sequential(
            nn.Linear(num_times * num_features, embedding_channels),
            nn.SiLU(),
            nn.Linear(embedding_channels, embedding_channels),
            nn.SiLU(),
        )

    def forward(self, t: Tensor, context: Tensor | None = None) -> Tensor:
        features = sinusoidal_features(t.flatten(), self.num_features, self.time_scale, self.endpoint).view(len(t), -1)
        if self.context is None:
            return self.layers(features)
        return self.layers[-1](self.layers[:-1](features) + self.context(context))
