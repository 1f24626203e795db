"""Spearman's rank correlation (1904, doi 10.2307/1412159): whether two numbers put the same things in the same order."""

from collections.abc import Sequence

import numpy as np


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float | None:
    """The correlation of the ranks of two sequences of equal length; equal values share their mean rank. None if one of them
    has equal values only, or fewer than two."""
    first, second = (ranks - ranks.mean() for ranks in (_ranks(one), _ranks(two))) if len(one) else ((), ())
    spread = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return float(np.dot(first, second)) / spread if spread > 0.0 else None


def _ranks(values: Sequence[float]) -> np.ndarray:
    """1, 2, ... from the smallest (N,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[place]
