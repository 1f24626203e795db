"""How codes lie in their space: principal components, effective rank, alignment and uniformity.

Effective rank: Roy & Vetterli 2007, "The effective rank" (EUSIPCO). Alignment and uniformity: Wang & Isola 2020, arXiv
2005.10242, eq. 1 and 2.
Differs from the second paper: two examples of one label are a positive pair, because nothing is augmented here.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-6  # a standard deviation, as a share of the largest, below which a dimension counts as constant
ROWS = 500


@dataclass(frozen=True)
class Scaling:
    """z -> (z - mean) / std, of training codes; a constant dimension becomes 0."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, z: Tensor) -> "Scaling":
        std = z.double().std(0, correction=0)
        return cls(z.double().mean(0), torch.where(std > LEAST * std.max(), std, torch.inf))

    def __call__(self, z: Tensor) -> Tensor:
        return ((z.double() - self.mean) / self.std).float()


@dataclass(frozen=True)
class Components:
    """Principal components of training codes. basis (F, k): columns by falling variance. variances (F,): of all components."""

    mean: Tensor
    basis: Tensor
    variances: Tensor

    @classmethod
    def of(cls, z: Tensor, num: int) -> "Components":
        mean = z.double().mean(0)
        centred = z.double() - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(z))
        return cls(mean, vectors.flip(1)[:, :num], values.flip(0).clamp_min(0.0))

    def __call__(self, z: Tensor) -> Tensor:
        """(N, k)."""
        return ((z.double() - self.mean) @ self.basis).float()

    @property
    def effective_rank(self) -> float:
        """exp of the entropy of the singular values of the centred codes, as shares of their sum; at most F."""
        singular = self.variances.sqrt()
        share = singular / singular.sum()
        return torch.special.entr(share).sum().exp().item()


def alignment(z: Tensor, y: Tensor) -> float:
    """E |a - b|^2 of unit vectors of all pairs with one label: 0 if they agree, 2 for random directions.

    The sum over the pairs of n unit vectors with the sum s is n^2 - |s|^2.
    """
    units, total, pairs = F.normalize(z.double(), dim=1), 0.0, 0
    for label in y.unique():
        own = units[y == label]
        total += (own.square().sum() * len(own) - own.sum(0).square().sum()).item()
        pairs += len(own) * (len(own) - 1) // 2
    return total / max(pairs, 1)


def uniformity(z: Tensor) -> float:
    """log E exp(-2 |a - b|^2) of unit vectors of all pairs: 0 if all agree, the smaller the more evenly they lie."""
    units, total = F.normalize(z.double(), dim=1).float(), 0.0
    for part in units.split(ROWS):
        total += (4.0 * (part @ units.T) - 4.0).exp().sum(dtype=torch.float64).item()  # |a - b|^2 = 2 - 2 a.b
    return math.log((total - len(z)) / (len(z) * (len(z) - 1)))
