"""Residual multi-layer perceptron on vectors. SiLU makes it smooth, so that it can be differentiated twice."""

from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """h <- h + W2 silu(W1 silu(W0 h)), `num_blocks` times; (N, features) to (N, features). num_blocks=0: the identity."""

    def __init__(self, features: int, hidden_features: int, num_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(features, hidden_features),
                nn.SiLU(),
                nn.Linear(hidden_features, hidden_features),
                nn.SiLU(),
                nn.Linear(hidden_features, features),
            )
            for _ in range(num_blocks)
        )

    def forward(self, h: Tensor) -> Tensor:
        for block in self.blocks:
            h = h + block(h)
        return h
