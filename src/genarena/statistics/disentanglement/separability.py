"""SAP (Kumar, Sattigeri & Balakrishnan 2018, arXiv 1711.00848): how much better the best code tells a factor than another."""

import numpy as np

from genarena.statistics.disentanglement.iterations import converged_or_not


def gaps(scores: np.ndarray) -> np.ndarray:
    """(K,): the largest less the second largest of scores (D, K), 0 being the second of a single code; SAP is the mean."""
    ordered = np.sort(np.vstack([np.zeros_like(scores[:1]), scores]), 0)
    return ordered[-1] - ordered[-2]


def accuracies(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int = 0) -> np.ndarray:
    """(D, K): test accuracy of a linear support vector machine (C = 0.01, balanced classes) of one code for one factor.

    train, test: codes (N, D) and value indices (N, K). The values are classes: a line cannot tell many apart.
    """
    from sklearn.svm import LinearSVC

    (codes, factors), (other_codes, other_factors) = train, test
    found = np.empty((codes.shape[1], factors.shape[1]))
    with converged_or_not():
        for j in range(codes.shape[1]):
            for k in range(factors.shape[1]):
                line = LinearSVC(C=0.01, class_weight="balanced", random_state=seed)
                line.fit(codes[:, j : j + 1], factors[:, k])
                found[j, k] = (line.predict(other_codes[:, j : j + 1]) == other_factors[:, k]).mean()
    return found


def squared_correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(D, K): the squared correlation of codes (N, D) with value indices (N, K): scores of factors that are quantities.

    0 for a code with a variance of at most 1e-12, and for a factor with one value.
    """
    z, v = codes - codes.mean(0), factors - factors.mean(0)
    of_codes, of_factors = np.square(z).mean(0), np.square(v).mean(0)
    both = np.square(z.T @ v / len(z))
    known = (of_codes[:, None] > 1e-12) & (of_factors > 0.0)
    return np.where(known, both / np.where(known, of_codes[:, None] * of_factors, 1.0), 0.0)
