"""Explicitness (Ridgeway & Mozer 2018, arXiv 1802.05312, sec. 3): can a line read the values of a factor from a code?"""

import numpy as np

from genarena.statistics.disentanglement.iterations import converged_or_not


def explicitness(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(K,): area under the ROC curve of each value against the others on the test rows, mean over the values there, of a
    logistic regression on codes that are standardised by the training rows. 0.5: nothing can be read.

    train, test: codes (N, D) and value indices (N, K). Values that are not in both are left out; NaN if fewer than two are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    (codes, factors), (other_codes, other_factors) = train, test
    mean, scale = codes.mean(0), codes.std(0)
    scale = np.where(scale > 0.0, scale, 1.0)
    found = np.full(factors.shape[1], np.nan)
    for k, (factor, other) in enumerate(zip(factors.T, other_factors.T, strict=True)):
        if len(np.unique(factor)) < 2:
            continue
        with converged_or_not():
            fitted = LogisticRegression().fit((codes - mean) / scale, factor)
        scores = fitted.predict_proba((other_codes - mean) / scale)
        known = [place for place, value in enumerate(fitted.classes_) if 0 < (other == value).sum() < len(other)]
        areas = [roc_auc_score(other == fitted.classes_[place], scores[:, place]) for place in known]
        found[k] = np.mean(areas) if len(areas) > 1 else np.nan
    return found
