"""DCI: disentanglement, completeness and informativeness (Eastwood & Williams 2018, ICLR) from a predictor of each factor.

Gradient-boosted trees of scikit-learn with its defaults: 100 trees of depth 3, rate 0.1. Numbers of other predictors are other
metrics.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Predicted:
    """importances: R (D, K). accuracies: (K,), of the factors on other rows."""

    importances: np.ndarray
    accuracies: np.ndarray


def predicted(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int = 0) -> Predicted:
    """Each factor is predicted from all codes. train, test: codes (N, D) and value indices (N, K).

    A factor that takes one value among the training rows has no importances.
    """
    import sklearn
    from sklearn.ensemble import GradientBoostingClassifier

    (codes, factors), (other_codes, other_factors) = train, test
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    accuracies = np.empty(factors.shape[1])
    for k, (factor, other) in enumerate(zip(factors.T, other_factors.T, strict=True)):
        if len(np.unique(factor)) < 2:
            accuracies[k] = (other == factor[0]).mean()
            continue
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):  # checks take half of the time
            trees = GradientBoostingClassifier(random_state=seed).fit(codes, factor)
            importances[:, k] = trees.feature_importances_
            accuracies[k] = (trees.predict(other_codes) == other).mean()
    return Predicted(importances, accuracies)


def disentanglement(importances: np.ndarray) -> float:
    """sum_j rho_j (1 - H_K(R_j / sum_k R_jk)) of R (D, K), rho_j the share of code j in all of R; 0 if R is 0.

    1: each code matters for one factor alone. With one factor it is 1.
    """
    return _concentration(importances)


def completeness(importances: np.ndarray) -> float:
    """The same by columns: 1 if each factor needs one code alone. With one code it is 1."""
    return _concentration(importances.T)


def _concentration(rows: np.ndarray) -> float:
    total = rows.sum(1)
    alive = total > 0.0
    if not alive.any():
        return 0.0
    if rows.shape[1] == 1:
        return 1.0
    shares = rows[alive] / total[alive, None]
    entropy = -np.where(shares > 0.0, shares * np.log(np.where(shares > 0.0, shares, 1.0)), 0.0).sum(1)
    return float((total[alive] / total.sum() * (1.0 - entropy / np.log(rows.shape[1]))).sum())
