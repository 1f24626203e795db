"""IRS, interventional robustness (Suter et al. 2019, arXiv 1811.00007): how far a code moves when others are changed."""

import numpy as np

from genarena.statistics.disentanglement.information import BINS, binned

QUANTILE = 0.99


def deviations(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(D, K): 1 - mean over values g of factor k of the 99th percentile of |z_j - E[z_j | g]|, as a share of the largest
    |z_j - E z_j|. Factors of more than `bins` values are put in bins. Every code has to vary."""
    largest = np.abs(codes - codes.mean(0)).max(0)
    found = np.empty((codes.shape[1], factors.shape[1]))
    for k, factor in enumerate(binned(factors.astype(float), bins).T):
        groups = [codes[factor == value] for value in np.unique(factor)]
        far = [np.quantile(np.abs(group - group.mean(0)), QUANTILE, axis=0) for group in groups]
        found[:, k] = 1.0 - np.mean(far, 0) / largest
    return found


def irs(codes: np.ndarray, factors: np.ndarray) -> float:
    """The mean over codes of their best factor's score, weighted by the largest deviation. Codes that never change are left
    out; 0 if none is left."""
    codes = codes[:, np.ptp(codes, 0) > 0.0]
    if not codes.shape[1]:
        return 0.0
    return float(np.average(deviations(codes, factors).max(1), weights=np.abs(codes - codes.mean(0)).max(0)))
