"""How entries of a table come to be missing: which are hidden, by a mechanism that is fitted to the training rows.

Names follow Rubin (1976, doi 10.1093/biomet/63.3.581): whether an entry is hidden depends on nothing (mcar), on
entries that are observed (mar), or on its own value (mnar_self, mnar_quantile, not_miwae). The logistic forms are
those of Muzellec et al. (2020, arXiv 2002.03860), not_miwae is the rule of Ipsen, Mattei & Frellsen (2021, arXiv
2006.12871).

Differs from Muzellec et al.: mnar_self hides large values more often in every column, instead of a random side.

Whether an entry is hidden depends on the content of its row, the key and its split alone: it is the same for every
model, order and batch size, and equal rows have equal holes.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator

Name = Literal["mcar", "mar", "mnar_self", "mnar_quantile", "not_miwae"]
WITH_RATE = ("mcar", "mar", "mnar_self")  # the others have a rate of their own
DRIVERS = 0.3  # of the columns drive the holes of the others (mar)
QUANTILE, HIDDEN_ABOVE = 0.75, 0.75  # of mnar_quantile: where the upper part begins, and how much of it is hidden
TOLERANCE = 1e-3  # of the rate
HALVINGS = 60


@dataclass(frozen=True)
class Mechanism:
    """P(entry (n, d) is hidden) = sigmoid(logit_d + sum_e z_ne W_ed), z standardised; or by a threshold in some columns.

    Fitted to complete training rows by `fitted`. key: what decides the holes beside the content of a row.
    center, scale: (D,) of the training rows. weight: W (D, D). logit: (D,). threshold: (D,), inf without one;
    chance: of being hidden above it.
    """

    key: tuple
    center: Tensor
    scale: Tensor
    weight: Tensor
    logit: Tensor
    threshold: Tensor
    chance: float

    def probabilities(self, x: Tensor) -> Tensor:
        """Of being hidden, (N, D) float64, for complete rows x (N, D)."""
        x = x.double()
        z = (x - self.center) / self.scale
        return torch.sigmoid(z @ self.weight + self.logit) + self.chance * (x > self.threshold)

    def hidden(self, x: Tensor, split: str) -> Tensor:
        """Which entries are hidden, bool (N, D), of complete rows x (N, D) of a split. Each row and each column
        keeps at least one entry, the one that came closest to being observed; so the rate may be a little smaller
        than asked for."""
        contents = [row.numpy().tobytes() for row in x.contiguous().cpu()]
        keys = ((*self.key, split, content) for content in contents)
        u = torch.stack([torch.rand(x.shape[1], generator=seeded_generator(*key), dtype=torch.float64) for key in keys])
        margin = u - self.probabilities(x.cpu())  # negative: hidden
        hidden = margin < 0
        rows, columns = hidden.all(1), hidden.all(0)
        hidden[rows, margin[rows].argmax(1)] = False
        hidden[margin[:, columns].argmax(0), columns] = False
        return hidden


def fitted(name: Name, rate: float, x: Tensor, key: tuple) -> Mechanism:
    """The mechanism for complete training rows x (N, D). The mean probability of the columns that may be hidden is
    `rate` within `TOLERANCE`; mnar_quantile and not_miwae have no rate. key: the names and numbers that decide all
    that is random.

    mar: 30% of the columns, at least one, are always observed. mnar_quantile: the upper quarter of each column is
    hidden with probability 0.75. not_miwae: the first half of the columns is hidden wherever it is above its mean.
    Raises ValueError for rows of one entry, and for a rate that is not in (0, 1).
    """
    x, dims = x.double().cpu(), x.shape[1]
    if dims < 2:
        raise ValueError("holes need rows of at least two columns")
    if not 0.0 < rate < 1.0:
        raise ValueError(f"rate={rate:g}: expected a number between 0 and 1")
    scale = x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    key = (*key, name, rate if name in WITH_RATE else None)
    never = torch.full((dims,), -math.inf, dtype=torch.float64)
    weight, threshold, chance = torch.zeros(dims, dims, dtype=torch.float64), -never, 0.0
    hideable = torch.zeros(dims, dtype=torch.bool)
    center, generator = x.mean(0), seeded_generator(*key)
    if name == "mnar_quantile":
        threshold, chance = x.quantile(QUANTILE, 0), HIDDEN_ABOVE
    elif name == "not_miwae":
        threshold, chance = torch.where(torch.arange(dims) < dims // 2, center, torch.inf), 1.0
    else:
        hideable[:] = True
    z = (x - center) / scale
    if name == "mar":
        drivers = torch.randperm(dims, generator=generator)[: max(1, int(DRIVERS * dims))]
        hideable[drivers] = False
        weight[drivers] = torch.randn(len(drivers), dims, generator=generator, dtype=torch.float64) * hideable
        spread = (z @ weight).std(0, correction=0)
        weight = weight / torch.where(spread > 0, spread, 1.0)
    elif name == "mnar_self":
        weight = torch.eye(dims, dtype=torch.float64)
    logit = torch.where(hideable, _intercepts(z @ weight, rate), never)
    return Mechanism(key, center, scale, weight, logit, threshold, chance)


def _intercepts(slopes: Tensor, rate: float) -> Tensor:
    """b (D,) with mean_n sigmoid(b_d + slopes_nd) = rate, by halving an interval that holds it."""
    reach = slopes.abs().amax(0) + abs(math.log(rate / (1.0 - rate))) + 1.0
    low, high = -reach, reach
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        above = torch.sigmoid(middle + slopes).mean(0) > rate
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return middle
