"""Vendi score: the effective number of different samples (Friedman & Dieng 2023, arXiv 2210.02410, definition 3.1).

The kernel is the cosine of the features, k(x, y) = f(x).f(y) / (|f(x)| |f(y)|). The eigenvalues of K/n are then those of
the (F, F) matrix M of second moments of the normalised features (section 3, for kernels that are inner products), so no
(n, n) matrix is needed. The score grows with n and depends on the features: compare it with `real`, that of as many real
examples. More than `real` is no better than less: noise has a high score too.

Standard error, by the infinitesimal jackknife: the score is exp(H) with H = -tr(M log M), and a sample with the normalised
features u changes H at the rate -u^T (log M) u - H.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Fresh, Unavailable
from genarena.spec import DataSpec
from genarena.statistics.frechet import Estimate
from genarena.statistics.rows import finite_rows, joined

ROWS = 4096


def vendi_score(features: Tensor) -> float:
    """exp(-sum_i l_i log l_i), l the eigenvalues of K/n, for features (N, F); 1 for copies, N for orthogonal rows."""
    return _entropy(torch.linalg.eigvalsh(_moments(features))).exp().item()


def vendi_estimate(features: Tensor) -> Estimate:
    """`vendi_score` of features (N, F), and its standard error."""
    eigenvalues, vectors = torch.linalg.eigh(_moments(features))
    score = _entropy(eigenvalues).exp()
    present = eigenvalues > len(eigenvalues) * torch.finfo(torch.float64).eps
    log = torch.where(present, eigenvalues, 1.0).log()  # no sample has a part along the others
    rates = torch.cat([-((_unit(rows) @ vectors).square() @ log) for rows in features.split(ROWS)])
    return Estimate(score.item(), (score * rates.std() / len(features) ** 0.5).item())


def _unit(rows: Tensor) -> Tensor:
    rows = rows.double()
    return rows / rows.norm(dim=1, keepdim=True)


def _moments(features: Tensor) -> Tensor:
    moments = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for rows in features.split(ROWS):
        unit = _unit(rows)
        moments += unit.T @ unit
    return moments / len(features)


def _entropy(eigenvalues: Tensor) -> Tensor:
    return torch.special.entr(eigenvalues.clamp_min(0.0)).sum()


class Vendi(ArenaMetric):
    """exp(Shannon entropy of the eigenvalues of K/n) of the samples."""

    title = "Vendi"
    range = (1.0, None)
    higher_is_better = None
    towards_real = True
    min_samples = 300
    too_few = "with fewer the score is rather that of their number"

    def __init__(self) -> None:
        super().__init__()
        self.add_state("fake_rows", default=[], dist_reduce_fx="cat")
        self.fresh: Fresh | None = None
        self.facts: dict[str, Any] = {}

    def update(self, fake_features: Tensor, spec: DataSpec, fresh_features: Fresh | None = None) -> None:
        """Features (M, F) of samples, and of real examples in their place."""
        if not spec.is_image:
            raise Unavailable("vendi compares features by their angle, which says nothing about vectors of raw data")
        self.fake_rows.append(finite_rows("fake", fake_features))
        self.fresh = fresh_features

    def compute(self) -> float:
        fake = joined(self.fake_rows)
        if len(fake) < 2:
            raise Unavailable("needs at least 2 samples")
        if _any_is_zero(fake):
            raise Unavailable("a row of features is all zeros and has no angle to others")
        value, error = vendi_estimate(fake)
        self.facts = {"standard_error": error} | (self._angled(self.fresh).facts(vendi_score) if self.fresh else {})
        return value

    def record(self) -> dict[str, Any]:
        return {"n": sum(map(len, self.fake_rows)), "kernel": "cosine", **self.facts}

    @staticmethod
    def _angled(fresh: Fresh) -> Fresh:
        if fresh.rows is not None and _any_is_zero(fresh.rows):
            return Fresh(None, reason="a row of the real features is all zeros and has no angle to others")
        return fresh


def _any_is_zero(rows: Tensor) -> bool:
    return bool((rows == 0).all(dim=1).any())
