"""Directions of an attribute in codes: unit vectors along which it grows.

Shen, Gu, Tang & Zhou 2020, "Interpreting the latent space of GANs", arXiv 1907.10786, take the normal of a separating plane,
and project other directions out of it (sec. 2.3). Differs from it: logistic regression and LDA instead of a linear SVM, on all
codes instead of the extremes.

For codes N(0, C) with the attribute w.z > 0, the mean difference is along C w; LDA and logistic regression are along w. A move
along C w takes along all that goes with the attribute in the data.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Direction = Callable[
    [Tensor, Tensor], Tensor
]  # codes (N, D), and whether they have the attribute (N,), to a unit vector (D,)


def mean_difference(z: Tensor, has: Tensor) -> Tensor:
    """The mean code with the attribute minus that without it."""
    z = z.double()
    return _unit(z[has].mean(0) - z[~has].mean(0))


def lda(z: Tensor, has: Tensor) -> Tensor:
    """W^-1 of the mean difference, W the covariance within the two sets, shrunk (Ledoit & Wolf 2004, doi
    10.1016/S0047-259X(03)00096-4)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(z.double().numpy(), has.numpy())
    return _unit(torch.from_numpy(fitted.coef_[0]))


def logistic(z: Tensor, has: Tensor) -> Tensor:
    """The weights of a logistic regression with an L2 penalty (C = 1)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=500).fit(z.double().numpy(), has.numpy())
    return _unit(torch.from_numpy(fitted.coef_[0]))


DIRECTIONS: dict[str, Direction] = {"mean difference": mean_difference, "LDA": lda, "logistic": logistic}


def without(direction: Tensor, others: Sequence[Tensor]) -> Tensor:
    """The direction (D,) minus its projection on the span of others. Raises ValueError if nothing is left."""
    if not others:
        return direction
    basis, _ = torch.linalg.qr(torch.stack(list(others), 1))
    rest = direction - basis @ (basis.T @ direction)
    if rest.norm() < 1e-6:
        raise ValueError("project: nothing is left of the direction without the others")
    return _unit(rest)


def _unit(direction: Tensor) -> Tensor:
    return direction / direction.norm().clamp_min(1e-12)
