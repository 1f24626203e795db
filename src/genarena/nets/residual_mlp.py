"""Residual multi-layer perceptron on vectors: smooth, without normalisation, so that it can be differentiated twice."""

from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """`num_blocks` times h + W2 silu(W1 silu(W0 h)), (N, features) to (N, features); the identity for no block."""

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
