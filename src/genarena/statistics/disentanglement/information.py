"""Mutual information of each code with each factor, MIG, and modularity.

MIG: Chen et al. 2018, arXiv 1802.04942, eq. 6. Modularity: Ridgeway & Mozer 2018, arXiv 1802.05312, sec. 3.
"""

import numpy as np

BINS = 20  # of equal width, between the smallest and the largest value of a code


def binned(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(N, D) floats to bin numbers 0 .. bins - 1, column by column. The largest value is in the last bin."""
    columns = []
    for column in values.T:
        edges = np.linspace(column.min(), column.max(), bins + 1)
        columns.append(np.digitize(column, edges[:-1]) - 1 if edges[0] < edges[-1] else np.zeros(len(column), int))
    return np.stack(columns, 1)


def entropy(counts: np.ndarray) -> float:
    """H of the distribution that counts stand for, nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def entropies(factors: np.ndarray) -> np.ndarray:
    """H(v) (K,) nats of value indices (N, K)."""
    return np.array([entropy(np.bincount(column)) for column in factors.T])


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """I(z_j; v_k) (D, K) nats of the rows, the codes in bins. Exact if the rows are the whole grid."""
    of_codes, of_factors = binned(codes, bins), entropies(factors)
    found = np.empty((codes.shape[1], factors.shape[1]))
    for j, code in enumerate(of_codes.T):
        own = entropy(np.bincount(code))
        for k, factor in enumerate(factors.T):
            joint = np.bincount(code * (factor.max() + 1) + factor)
            found[j, k] = max(0.0, own + of_factors[k] - entropy(joint))
    return found


def mig(information: np.ndarray, of_factors: np.ndarray) -> np.ndarray:
    """(K,): the largest less the second largest information on a factor, as a share of its entropy; MIG is the mean.

    information: (D, K). of_factors: entropies (K,); a factor without entropy has NaN, and is no part of a mean. With a
    single code the second largest is 0.
    """
    ordered = np.sort(np.vstack([np.zeros_like(information[:1]), information]), 0)
    with np.errstate(invalid="ignore"):
        return np.where(of_factors > 0.0, (ordered[-1] - ordered[-2]) / of_factors, np.nan)


def modularity(information: np.ndarray) -> float:
    """Mean over all codes of 1 - (sum_k m_k^2 - max_k m_k^2) / (max_k m_k^2 (K - 1)), m the information (D, K).

    A code without information counts as 0. Raises ValueError for fewer than two factors.
    """
    if information.shape[1] < 2:
        raise ValueError(f"modularity needs two factors, and there are {information.shape[1]}")
    squared = np.square(information)
    largest = squared.max(1)
    alive = largest > 0.0
    rest = (squared.sum(1) - largest)[alive] / (largest[alive] * (information.shape[1] - 1))
    return float((1.0 - rest).sum() / len(information))
