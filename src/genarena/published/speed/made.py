"""MADE against the same in plain PyTorch: binary images of 28x28, one hidden layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.autoregressive.made import MADE
from genarena.published.speed.alternation import Pair, compared, likelihoods, still
from genarena.spec import DataSpec

SPEC, HIDDEN, ROWS, DRAWN = DataSpec((1, 28, 28), 2), 500, 128, 32


class PlainMADE(nn.Module):
    """Logits of 784 pixels: that of a pixel sees the pixels before it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(784, HIDDEN), nn.Linear(HIDDEN, 784)
        place, degree = torch.arange(784), torch.randint(1, 784, (HIDDEN,))
        self.register_buffer("seen", (place < degree[:, None]).float())
        self.register_buffer("used", (degree <= place[:, None]).float())

    def forward(self, v: Tensor) -> Tensor:
        hidden = F.relu(F.linear(2.0 * v - 1.0, self.hidden.weight * self.seen, self.hidden.bias))
        return F.linear(hidden, self.out.weight * self.used, self.out.bias)

    def log_prob(self, x: Tensor) -> Tensor:
        """Of levels (N, 1, 28, 28)."""
        v = x.flatten(1).float()
        return -F.binary_cross_entropy_with_logits(self(v), v, reduction="none").sum(1)

    def sample(self, num: int) -> Tensor:
        v = torch.zeros(num, 784)
        for place in range(784):
            v[:, place] = torch.sigmoid(self(v)[:, place]).bernoulli()
        return v.byte()


def made(num_rounds: int = 9) -> str:
    """Plain PyTorch draws a pixel in a whole pass."""
    ours, theirs = MADE(SPEC, hidden=(HIDDEN,)), PlainMADE()
    x = torch.randint(2, (ROWS, *SPEC.shape), dtype=torch.uint8)
    drawn = Pair(
        f"{DRAWN} samples", still(ours, lambda: ours.sample(DRAWN)), still(theirs, lambda: theirs.sample(DRAWN))
    )
    return compared("made", "plain PyTorch", [*likelihoods(ours, theirs, theirs.log_prob, x), drawn], num_rounds)
