"""Balanced accuracy of attributes: the mean of the right answers where an attribute is asked for and where it is not.

A plain share of right answers would praise "no" for each rare attribute; here a guess has 1/2, whatever it guesses (Brodersen
et al. 2010, doi 10.1109/ICPR.2010.764).
"""

from typing import NamedTuple

from torch import Tensor

FEWEST = 10  # examples that are asked for an attribute, and that are not; a rarer one is not counted


class Balanced(NamedTuple):
    """value: the mean over attributes of (right with + right without) / 2; standard_error: over the examples; attributes: how
    many are counted. Without any, value and standard error are NaN."""

    value: float
    standard_error: float
    attributes: int


def balanced_accuracy(shown: Tensor, asked: Tensor) -> Balanced:
    """Of `shown` and `asked` (N, K), 0 or 1: what N examples show of K attributes, and what they should.

    The value is a sum over examples of right_ik / (2 K n_k), n_k the number of examples asked as example i is. The standard
    error is that of this sum with the n_k given: (sum_i r_i^2)^(1/2), r_i the same sum of the deviations right_ik - share_k.
    """
    shown, asked = shown.bool(), asked.bool()
    right = (shown == asked).double()
    counts = asked.sum(0), (~asked).sum(0)
    kept = (counts[0] >= FEWEST) & (counts[1] >= FEWEST)
    num = int(kept.sum())
    if not num:
        return Balanced(float("nan"), float("nan"), 0)
    value, residuals = 0.0, right.new_zeros(len(right))
    for part, count in zip((asked[:, kept].double(), (~asked[:, kept]).double()), counts, strict=True):
        weights = part / (2.0 * num * count[kept])  # (N, K)
        shares = (right[:, kept] * part).sum(0) / count[kept]
        value += shares.mean().item() / 2.0
        residuals += (weights * (right[:, kept] - shares)).sum(1)
    return Balanced(value, residuals.square().sum().sqrt().item(), num)
