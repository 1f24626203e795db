"""Vendi score: the effective number of different samples (Friedman & Dieng 2023, arXiv 2210.02410, definition 3.1).

The kernel is the cosine of the features, k(x, y) = f(x).f(y) / (|f(x)| |f(y)|). The eigenvalues of K/n are then those of
the (F, F) matrix of second moments of the normalised features (section 3, for kernels that are inner products), so no
(n, n) matrix is needed. The score grows with n and depends on the features: compare only values with the same n and features.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import TwoSampleMetric, Unavailable
from genarena.spec import DataSpec

ROWS = 4096


def vendi_score(features: Tensor) -> float:
    """exp(-sum_i l_i log l_i), l the eigenvalues of K/n, for features (N, F); 1 for copies, N for orthogonal rows."""
    moments = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for rows in features.split(ROWS):
        unit = rows.double()
        unit = unit / unit.norm(dim=1, keepdim=True)
        moments += unit.T @ unit
    eigenvalues = torch.linalg.eigvalsh(moments / len(features)).clamp_min(0.0)
    return torch.special.entr(eigenvalues).sum().exp().item()


class Vendi(TwoSampleMetric):
    """exp(Shannon entropy of the eigenvalues of K/n) of the samples."""

    title = "Vendi"
    higher_is_better = True

    def update(self, real_features: Tensor, fake_features: Tensor, spec: DataSpec) -> None:
        """Features (N, F) and (M, F)."""
        if not spec.is_image:
            raise Unavailable("vendi compares features by their angle, which says nothing about vectors of raw data")
        self.keep(real_features, fake_features)

    def compute(self) -> float:
        real, fake = self.rows()
        if any(bool((part == 0).all(dim=1).any()) for part in (real, fake)):
            raise Unavailable("a row of features is all zeros and has no angle to others")
        return vendi_score(fake)

    def record(self) -> dict[str, Any]:
        """`real`: the score of the test examples."""
        return super().record() | {"kernel": "cosine", "real": vendi_score(self.rows()[0])}
