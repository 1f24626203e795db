"""Maximum mean discrepancy with the cubic kernel of KID, over all pairs, in chunks of bounded memory."""

import torch
from torch import Tensor

ROWS = 1024
COLUMNS = 8192


def kernel_sum(a: Tensor, b: Tensor) -> float:
    """Sum over all pairs of (a.b / F + 1)^3 for features (N, F) and (M, F), in float64."""
    total = 0.0
    for columns in b.split(COLUMNS):
        columns = columns.double().T
        for rows in a.split(ROWS):
            total += ((rows.double() @ columns) / a.shape[1]).add_(1.0).pow_(3).sum().item()
    return total


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Unbiased estimate of MMD^2 (Gretton et al. 2012, JMLR 13, eq. 3), without pairs of an example with itself."""
    within = []
    for points in (x, y):
        norms = torch.cat([rows.double().square().sum(1) for rows in points.split(ROWS)])
        diagonal = (norms / points.shape[1] + 1.0).pow(3).sum().item()
        within.append((kernel_sum(points, points) - diagonal) / (len(points) * (len(points) - 1)))
    return sum(within) - 2.0 * kernel_sum(x, y) / (len(x) * len(y))
