"""How well scores tell two samples apart: `inside` (normal, negative) and `outside` (anomalous, positive).

A higher score means more anomalous. Equal scores count half. Scores are numpy arrays (N,), without NaN.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

Z = float(special.ndtri(0.975))
RESAMPLES = 200  # of a bootstrap


@dataclass(frozen=True)
class Interval:
    """A value, and half its 95% interval."""

    value: float
    half_width: float


def auroc(inside: np.ndarray, outside: np.ndarray) -> Interval:
    """P(outside > inside) + P(equal) / 2, with the variance of DeLong, DeLong & Clarke-Pearson (1988, doi 10.2307/2531595).

    With placements V(o) = P(inside < o) + P(inside = o) / 2 of the m outside scores, and likewise 1 - V(i) of the n inside
    ones, AUROC = mean V and variance = var(V_outside) / m + var(V_inside) / n. Both need two scores at least.

    This variance is 0 where every pair is in order, or every pair is not. min(m, n) pairs without a common score are then
    independent trials with one result, and the half width is that of Clopper & Pearson (1934): 1 - 0.025^(1 / min(m, n)).
    """
    found = _mean_of(*_both(inside, outside))
    if found.value not in (0.0, 1.0):
        return found
    return Interval(found.value, 1.0 - 0.025 ** (1.0 / min(len(inside), len(outside))))


def auroc_gap(one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]) -> Interval:
    """The area of `one` less that of `two`, scores (inside, outside) of the same examples: DeLong's interval for paired areas,
    from the differences of the placements."""
    found = [a - b for a, b in zip(_both(*one), _both(*two), strict=True)]
    return _mean_of(*found)


def _both(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placements of the outside and of the inside scores; the mean of each is the area."""
    return _placements(inside, outside), 1.0 - _placements(outside, inside)


def _mean_of(of_outside: np.ndarray, of_inside: np.ndarray) -> Interval:
    variance = of_outside.var(ddof=1) / len(of_outside) + of_inside.var(ddof=1) / len(of_inside)
    return Interval(float(of_outside.mean()), Z * float(np.sqrt(variance)))


def _placements(of: np.ndarray, at: np.ndarray) -> np.ndarray:
    """P(of < a) + P(of = a) / 2 for each a."""
    of = np.sort(of)
    return (np.searchsorted(of, at, "left") + np.searchsorted(of, at, "right")) / (2.0 * len(of))


def average_precision(inside: np.ndarray, outside: np.ndarray) -> float:
    """Area under precision and recall of `outside`, as a sum of steps (no interpolation); equal scores are one step."""
    score = np.concatenate([inside, outside])
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(order >= len(inside))
    ranked = score[order]
    last = np.append(np.nonzero(ranked[1:] != ranked[:-1])[0], len(score) - 1)  # of each group of equal scores
    precision, recall = found[last] / (last + 1.0), found[last] / len(outside)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def fpr_at_95_ood(inside: np.ndarray, outside: np.ndarray) -> float:
    """Share of `inside` that is flagged if the threshold is the highest that flags (score >= it) 95% of `outside`."""
    return float((inside >= _quantile_from_above(outside)).mean())


def ood_kept_at_95_id(inside: np.ndarray, outside: np.ndarray) -> float:
    """Share of `outside` that is accepted if the threshold is the lowest that accepts (score <= it) 95% of `inside`."""
    return float((outside <= -_quantile_from_above(-inside)).mean())


def _quantile_from_above(score: np.ndarray) -> float:
    """The highest threshold with a share of 95% at or above it."""
    place = len(score) - int(np.ceil(0.95 * len(score) - 1e-9))
    return float(np.partition(score, place)[place])


STATISTICS = {
    "aupr_out": average_precision,
    "fpr_at_95_ood": fpr_at_95_ood,
    "ood_kept_at_95_id": ood_kept_at_95_id,
}


def resampled(inside: np.ndarray, outside: np.ndarray) -> dict[str, Interval]:
    """`STATISTICS`, with 1.96 standard deviations of `RESAMPLES` resamples, each of both samples; the same at every call."""
    ranks = np.unique(np.concatenate([inside, outside]), return_inverse=True)[1]  # also for infinite scores
    inside, outside, rng = ranks[: len(inside)], ranks[len(inside) :], np.random.default_rng(0)
    drawn = [
        (inside[rng.integers(len(inside), size=len(inside))], outside[rng.integers(len(outside), size=len(outside))])
        for _ in range(RESAMPLES)
    ]
    return {
        name: Interval(of(inside, outside), Z * float(np.std([of(*pair) for pair in drawn], ddof=1)))
        for name, of in STATISTICS.items()
    }
