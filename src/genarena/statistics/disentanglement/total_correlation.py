"""How much codes depend on each other: as if they were Gaussian, and by pairs. Needs no factors (Locatello et al. 2019, arXiv
1811.12359, app. C)."""

import numpy as np

from genarena.statistics.disentanglement.information import binned, entropies, mutual_information


def gaussian_total_correlation(codes: np.ndarray) -> float:
    """-1/2 log det of the correlation matrix of codes (N, D), nats; 0 if they are uncorrelated. Codes that never change are
    left out. inf if one of them is a linear function of the others."""
    codes = codes[:, np.ptp(codes, 0) > 0.0]
    if codes.shape[1] < 2:
        return 0.0
    sign, value = np.linalg.slogdet(np.corrcoef(codes, rowvar=False))
    return max(0.0, float(-0.5 * value)) if sign > 0 else float("inf")


def gaussian_wasserstein_correlation(codes: np.ndarray) -> float:
    """W_2^2(N(0, S), N(0, D)) / tr S = 2 - 2 tr (D^1/2 S D^1/2)^1/2 / tr S of codes (N, D), S their covariance and D its
    diagonal: the work that makes them uncorrelated, as a share of their variance; 0 if they are. 0 if no code varies."""
    covariance = np.atleast_2d(np.cov(codes, rowvar=False))
    scales = np.sqrt(np.diag(covariance))
    total = np.square(scales).sum()
    if total == 0.0:
        return 0.0
    values = np.linalg.eigvalsh(scales[:, None] * covariance * scales)
    return max(0.0, float(2.0 - 2.0 * np.sqrt(np.maximum(values, 0.0)).sum() / total))


def information_between_codes(codes: np.ndarray) -> float:
    """I(z_i; z_j) nats, mean over all pairs of codes (N, D) in bins; 0 with a single code."""
    num = codes.shape[1]
    if num < 2:
        return 0.0
    places = binned(codes)
    both = mutual_information(codes, places).sum() - entropies(places).sum()  # I(z; z) = H(z)
    return max(0.0, float(both / (num * (num - 1))))
