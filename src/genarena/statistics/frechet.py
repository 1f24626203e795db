"""Frechet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv 1706.08500, eq. 6).

d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)). With S1 = A A^T the eigenvalues of S1 S2 are those of the
symmetric A^T S2 A, so no matrix square root and no complex numbers are needed. All statistics are float64.
"""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

ROWS = 4096


def gaussian_statistics(features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean (F,) and unbiased covariance (F, F) of at least two rows (N, F), in chunks of bounded memory."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, there is {len(features)}")
    mean = sum(rows.sum(axis=0) for rows in _chunks(features)) / len(features)
    return mean, sum((rows - mean).T @ (rows - mean) for rows in _chunks(features)) / (len(features) - 1)


def _chunks(features: Tensor) -> Iterator[np.ndarray]:
    """Chunks of at most `ROWS` rows, float64."""
    for rows in features.detach().cpu().split(ROWS):
        yield rows.double().numpy()


def frechet_distance(mean_1: np.ndarray, cov_1: np.ndarray, mean_2: np.ndarray, cov_2: np.ndarray) -> float:
    """The squared distance d^2 of the module docstring, which papers call FID; never negative."""
    factor = _factor(cov_1)
    eigenvalues = np.linalg.eigvalsh(factor.T @ cov_2 @ factor)
    trace_root = np.sqrt(eigenvalues.clip(min=0.0)).sum()
    shift = mean_1 - mean_2
    return max(0.0, float(shift @ shift + np.trace(cov_1) + np.trace(cov_2) - 2.0 * trace_root))


def _factor(cov: np.ndarray) -> np.ndarray:
    """A with A A^T = cov, by Cholesky decomposition, or from the eigenvectors if cov is singular."""
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        eigenvalues, vectors = np.linalg.eigh(cov)
        return vectors * np.sqrt(eigenvalues.clip(min=0.0))
