"""A monotone function on [0, 1] (Kingma et al. 2021, arXiv 2107.00630, appendix H)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MonotoneFunction(nn.Module):
    """f(t) = (g(t) - g(0)) / (g(1) - g(0)), g(t) = l_1(t) + l_3(sigmoid(l_2(l_1(t)))), with positive weights: strictly rising.

    hidden_features: outputs of l_2. Before training f(t) is nearly t.
    """

    def __init__(self, hidden_features: int = 1024) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))  # weights go through softplus
        self.inner = nn.Parameter(torch.randn(hidden_features) + 1.0)
        self.shift = nn.Parameter(torch.linspace(-6.0, 3.0, hidden_features))
        self.outer = nn.Parameter(torch.full((hidden_features,), -3.0))

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f and df / dt at times t (N,)."""
        values, rates = self._raw(torch.cat([t, t.new_tensor([0.0, 1.0])]))
        low, high = values[-2], values[-1]
        return (values[:-2] - low) / (high - low), rates[:-2] / (high - low)

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """g and dg / dt; biases of l_1 and l_3 change nothing and are left out."""
        slope, inner = functional.softplus(self.slope), functional.softplus(self.inner)
        outer = functional.softplus(self.outer) / len(self.outer)
        t = slope * t
        risen = torch.sigmoid(t[:, None] * inner + self.shift)
        rate = (outer * inner * risen * (1.0 - risen)).sum(1)
        return t + risen @ outer, slope * (1.0 + rate)
