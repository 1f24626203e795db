"""Generator and critic for vectors: perceptrons with three hidden layers and ReLU.

Gulrajani et al. 2017 (arXiv 1704.00028, fig. 1 and the authors' code) use them on points in the plane.
"""

from itertools import pairwise

from torch import Tensor, nn

from genarena.nets.conditioning import WithContext

NUM_HIDDEN = 3


class MLPGenerator(WithContext):
    """Latent vectors (N, latent_dim), and a context (N, F) where there is one, to vectors (N, out_features), unbounded."""

    def __init__(self, latent_dim: int, out_features: int, hidden: int, context_features: int = 0) -> None:
        super().__init__(*hidden_layers(latent_dim + context_features, hidden), nn.Linear(hidden, out_features))


class MLPCritic(WithContext):
    """Vectors (N, in_features), and a context (N, F) where there is one, to scores (N,).

    bias: of the last layer. Losses that are the same for D and D + constant, Wasserstein's and relativistic ones, need none.
    """

    def __init__(self, in_features: int, hidden: int, context_features: int = 0, bias: bool = False) -> None:
        layers = hidden_layers(in_features + context_features, hidden)
        super().__init__(*layers, nn.Linear(hidden, 1, bias=bias))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x, context).squeeze(1)

    @property
    def last(self) -> nn.Module:
        return self[-1]


def hidden_layers(in_features: int, hidden: int) -> list[nn.Module]:
    widths = pairwise([in_features] + [hidden] * NUM_HIDDEN)
    return [layer for before, after in widths for layer in (nn.Linear(before, after), nn.ReLU())]
