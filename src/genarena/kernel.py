"""Maximum mean discrepancy with the cubic kernel of KID, over all pairs, in chunks of bounded memory."""

from torch import Tensor

ROWS = 1024


def kernel_sum(a: Tensor, b: Tensor) -> float:
    """Sum over all pairs of (a.b / F + 1)^3 for features (N, F) and (M, F)."""
    return sum(((rows @ b.T) / a.shape[1]).add_(1.0).pow_(3).sum().item() for rows in a.split(ROWS))


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Unbiased estimate of MMD^2 (Gretton et al. 2012, JMLR 13, eq. 3); no example is paired with itself."""
    within = []
    for points in (x, y):
        diagonal = (points.square().sum(1) / points.shape[1] + 1.0).pow(3).sum().item()
        within.append((kernel_sum(points, points) - diagonal) / (len(points) * (len(points) - 1)))
    return sum(within) - 2.0 * kernel_sum(x, y) / (len(x) * len(y))
