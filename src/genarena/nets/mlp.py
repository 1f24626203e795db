"""Residual multilayer perceptron with a time input, for vectors."""

import torch
from torch import Tensor, nn

from genarena.nets.time_embedding import TimeEmbedding


class TimeMLP(nn.Module):
    """x (N, in_dim), t (N,) in [0, 1], and a context (N, F) -> (N, out_dim).

    `num_blocks` residual blocks of `hidden_channels`.
    """

    def __init__(
        self, in_dim: int, out_dim: int, hidden_channels: int = 128, num_blocks: int = 3, context_features: int = 0
    ) -> None:
        super().__init__()
        self.embedding = TimeEmbedding(hidden_channels, context_features=context_features)
        self.stem = nn.Linear(in_dim, hidden_channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * hidden_channels, hidden_channels), nn.SiLU(), nn.Linear(hidden_channels, hidden_channels)
            )
            for _ in range(num_blocks)
        )
        self.head = nn.Sequential(nn.LayerNorm(hidden_channels), nn.SiLU(), nn.Linear(hidden_channels, out_dim))

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        h, embedding = self.stem(x), self.embedding(t, context)
        for block in self.blocks:
            h = h + block(torch.cat([h, embedding], 1))
        return self.head(h)
