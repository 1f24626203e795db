"""Total correlation of codes as if they were Gaussian: how much they depend on each other. Needs no factors."""

import numpy as np


def gaussian_total_correlation(codes: np.ndarray) -> float:
    """-1/2 log det of the correlation matrix of codes (N, D), nats; 0 if they are uncorrelated. Codes that never change are
    left out. inf if one of them is a linear function of the others."""
    codes = codes[:, np.ptp(codes, 0) > 0.0]
    if codes.shape[1] < 2:
        return 0.0
    sign, value = np.linalg.slogdet(np.corrcoef(codes, rowvar=False))
    return max(0.0, float(-0.5 * value)) if sign > 0 else float("inf")
