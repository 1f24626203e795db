"""Residual multilayer perceptron with a time input, for vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genarena.nets.layers import Layered, numbered
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.options.values import Count, Positive


class TimeMLP(Layered, nn.Module):
    """x (N, in_channels), t (N,) or (N, num_times), and a context (N, F) -> (N, out_channels).

    `num_layers` residual blocks of `hidden_channels`. time_scale: the highest frequency of the time's features
    (`nets/time_embedding.py`). zero_output: the last layer starts at zero, and so does the output. with_states: of the context
    (N, 1 + L, F); this network reads the vector alone.
    Raises ValueError for other data than vectors.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 256,
        num_layers: Count = 3,
        time_scale: Positive = TIME_SCALE,
        zero_output: bool = False,
    ) -> None:
        super().__init__()
        if len(shape) != 1:
            raise ValueError(f"mlp: shape={tuple(shape)}: this network is for vectors, (D,)")
        self.embedding = TimeEmbedding(hidden_channels, 64, context_features, time_scale, num_times=num_times)
        self.stem = nn.Linear(in_channels, hidden_channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * hidden_channels, hidden_channels), nn.SiLU(), nn.Linear(hidden_channels, hidden_channels)
            )
            for _ in range(num_layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(hidden_channels), nn.SiLU(), nn.Linear(hidden_channels, out_channels))
        if zero_output:
            nn.init.zeros_(self.head[-1].weight)
            nn.init.zeros_(self.head[-1].bias)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        h, embedding = self.stem(x), self.embedding(t, context)
        for block in self.blocks:
            h = h + block(torch.cat([h, embedding], 1))
        return self.head(h)

    def layers(self) -> dict[str, nn.Module]:
        """What each block adds to the sum, and the sum, normalised."""
        return numbered(self.blocks) | {"norm": self.head[0]}
