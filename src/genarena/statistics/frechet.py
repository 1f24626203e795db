"""Frechet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv 1706.08500, eq. 6).

d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)). With S1 = A A^T the eigenvalues of S1 S2 are those of the
symmetric A^T S2 A, so no matrix square root and no complex numbers are needed. All statistics are float64.

Standard error. d^2 is a smooth function of the two empirical distributions, so its sampling variance is
var(I1)/n1 + var(I2)/n2 with the influence functions I1 and I2 (the infinitesimal jackknife: Efron 1982,
doi 10.1137/1.9781611970319, ch. 6). A share e of mass at x changes m1 by e c and S1 by e (c c^T - S1), where c = x - m1. The
derivative of d^2 by m1 is 2 (m1 - m2). That by S1 is the matrix I - T1, where T1 = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2)
S1^(-1/2) is the optimal map from the first Gaussian to the second (Takatsu 2011, Osaka J. Math. 48). Hence

    I1(x) = 2 (m1 - m2).c + c^T (I - T1) c - tr((I - T1) S1),

and I2 is the same with the sets exchanged; T2 is the inverse of T1. With A^T S2 A = U diag(l) U^T, T1 = W diag(l^(1/2)) W^T for
W = A^(-T) U, and T2 = B diag(l^(-1/2)) B^T for B = A U. A covariance without full rank has its pseudo-inverse here: its own
rows have no part outside its range.

If both sets have one distribution, d^2 has no linear term, its variance is of the second order, and the formula gives about
the square root of 2 times the true standard error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ROWS = 4096


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class Moments:
    """Sums over rows (F,), each minus a fixed `shift` (F,): moments of disjoint rows with one shift add up."""

    count: int
    shift: np.ndarray
    total: np.ndarray  # (F,)
    products: np.ndarray  # (F, F)

    @classmethod
    def of(cls, features: Tensor, shift: np.ndarray | None = None) -> "Moments":
        """Of rows (N, F), in one pass. `shift`: a point near the rows, by default the mean of the first ones: far from the
        origin, sums of squares without it would lose the digits that matter."""
        total, products = 0.0, 0.0
        for rows in _chunks(features):
            shift = rows.mean(axis=0) if shift is None else shift
            rows = rows - shift
            total, products = total + rows.sum(axis=0), products + np.dot(rows.T, rows)
        return cls(len(features), shift, total, products)

    def __add__(self, other: "Moments") -> "Moments":
        if self.shift is not other.shift:
            raise ValueError("moments about different points do not add up")
        return Moments(self.count + other.count, self.shift, self.total + other.total, self.products + other.products)

    @property
    def gaussian(self) -> "Gaussian":
        """Mean and unbiased covariance."""
        mean = self.total / self.count
        return Gaussian(self.shift + mean, (self.products - self.count * np.outer(mean, mean)) / (self.count - 1))


@dataclass(frozen=True)
class Gaussian:
    """mean: (F,). cov: (F, F)."""

    mean: np.ndarray
    cov: np.ndarray

    @cached_property
    def factor(self) -> np.ndarray:
        """A with A A^T = cov, by Cholesky decomposition, or from the eigenvectors if cov is singular."""
        try:
            return np.linalg.cholesky(self.cov)
        except np.linalg.LinAlgError:
            eigenvalues, vectors = np.linalg.eigh(self.cov)
            return vectors * np.sqrt(eigenvalues.clip(min=0.0))

    def inverse_transposed(self, u: np.ndarray) -> np.ndarray:
        """A^(-T) u, or with the pseudo-inverse if cov is singular."""
        if not np.triu(self.factor, 1).any() and np.diagonal(self.factor).all():
            upper = torch.from_numpy(self.factor).T
            return torch.linalg.solve_triangular(upper, torch.from_numpy(u), upper=True).numpy()
        squares = np.square(self.factor).sum(axis=0)  # the columns of A are orthogonal
        return (self.factor * _inverse(squares)) @ u

    def product(self, other: "Gaussian") -> np.ndarray:
        """A^T S2 A."""
        return self.factor.T @ other.cov @ self.factor

    def distance(self, other: "Gaussian", eigenvalues: np.ndarray | None = None) -> float:
        """d^2, never negative. eigenvalues: those of `product`, if they are known."""
        eigenvalues = np.linalg.eigvalsh(self.product(other)) if eigenvalues is None else eigenvalues
        trace_root, shift = np.sqrt(eigenvalues.clip(min=0.0)).sum(), self.mean - other.mean
        return max(0.0, float(shift @ shift + np.trace(self.cov) + np.trace(other.cov) - 2.0 * trace_root))


def _inverse(values: np.ndarray) -> np.ndarray:
    """1 / values; 0 for those that are 0 up to rounding."""
    positive = values > len(values) * np.finfo(np.float64).eps * max(values.max(), 0.0)
    return np.divide(1.0, values, out=np.zeros_like(values), where=positive)


def gaussian_statistics(features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean (F,) and unbiased covariance (F, F) of at least two rows (N, F), in chunks of bounded memory."""
    fitted = fit(features)
    return fitted.mean, fitted.cov


def fit(features: Tensor) -> Gaussian:
    """The Gaussian with the mean and the unbiased covariance of at least two rows (N, F)."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, there is {len(features)}")
    return Moments.of(features).gaussian


def _chunks(features: Tensor) -> Iterator[np.ndarray]:
    """Chunks of at most `ROWS` rows, float64."""
    for rows in features.detach().cpu().split(ROWS):
        yield rows.double().numpy()


def frechet_distance(mean_1: np.ndarray, cov_1: np.ndarray, mean_2: np.ndarray, cov_2: np.ndarray) -> float:
    """The squared distance d^2 of the module docstring, which papers call FID; never negative."""
    return Gaussian(mean_1, cov_1).distance(Gaussian(mean_2, cov_2))


def mean_distance(first: Sequence[Gaussian], second: Sequence[Gaussian]) -> float:
    """The mean of d^2 over pairs of Gaussians, one pair for each network."""
    return sum(one.distance(two) for one, two in zip(first, second, strict=True)) / len(first)


def estimated(first: Tensor, second: Tensor) -> Estimate:
    """d^2 between Gaussians fitted to rows (N, F) and (M, F), with its standard error."""
    return mean_estimated(first, second, [fit(first)])[0]


def mean_estimated(first: Tensor, second: Tensor, fitted: Sequence[Gaussian]) -> tuple[Estimate, list[float]]:
    """The mean of d^2 over networks whose features stand side by side in rows (N, K F) and (M, K F); and d^2 under each.

    fitted: a Gaussian for each network, fitted to the first rows. The influence of a row on the mean is the mean of its
    influences.
    """
    pairs = zip(first.chunk(len(fitted), 1), second.chunk(len(fitted), 1), fitted, strict=True)
    distances, of_first, of_second = zip(*(_influences(*pair) for pair in pairs), strict=True)
    variance = np.mean(of_first, axis=0).var(ddof=1) / len(first) + np.mean(of_second, axis=0).var(ddof=1) / len(second)
    return Estimate(sum(distances) / len(fitted), float(np.sqrt(variance))), list(distances)


def _influences(first: Tensor, second: Tensor, one: Gaussian) -> tuple[float, np.ndarray, np.ndarray]:
    """d^2, and the influences on it of the rows (N, F) and (M, F)."""
    two = fit(second)
    eigenvalues, u = np.linalg.eigh(one.product(two))
    fourth = eigenvalues.clip(min=0.0) ** 0.25
    shift = one.mean - two.mean
    return (
        one.distance(two, eigenvalues),
        _influence(first, one.mean, shift, one.inverse_transposed(u) * fourth),
        _influence(second, two.mean, -shift, (one.factor @ u) * _inverse(eigenvalues) ** 0.25),
    )


def _influence(rows: Tensor, mean: np.ndarray, shift: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Influence (N,) of each row (N, F) on d^2, up to a constant, where T = root root^T."""
    influence = []
    for part in _chunks(rows):
        centred = part - mean
        moved = np.square(centred @ root).sum(axis=1)  # c^T T c
        influence.append(2.0 * centred @ shift + np.square(centred).sum(axis=1) - moved)
    return np.concatenate(influence)
