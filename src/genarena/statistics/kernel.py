"""Distances between two distributions that are means of a kernel over pairs, with their standard errors.

MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) (Gretton et al. 2012, JMLR 13, eq. 3), estimated without pairs of an example with
itself, and therefore without bias. With k(x, y) = -|x - y| it is the energy distance (Szekely & Rizzo 2013,
doi 10.1016/j.jspi.2013.03.018; Sejnowski et al. 2013, arXiv 1207.6076). All pairs are used, in blocks of bounded memory, and
sums are in float64.

Standard error. Two parts of the variance of this U-statistic are found from sums over the rows of the kernel matrices
(Hoeffding's decomposition; Sutherland & Deka 2019, arXiv 1906.02104). The linear part is 4 var(a) / n + 4 var(b) / m with
a_i = mean_j k(x_i, x_j) - mean_j k(x_i, y_j), and b_j the same with the sets exchanged. The rest is of the second order,
2 r_xx / n^2 + 2 r_yy / m^2 + 4 r_xy / (n m), r the variance of a kernel matrix around its row and column means; without it
the error at equal distributions would be 0. The means a_i scatter because of the rest too: twice the rest is subtracted.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.statistics.frechet import Estimate

ROWS = COLUMNS = 1024  # of a block: 8 MB, which stays in the cache while the kernel goes over it

Kernel = Callable[[Tensor, Tensor], Tensor]  # float64 rows (n, F) and (m, F) -> (n, m)


def cubic(a: Tensor, b: Tensor) -> Tensor:
    """(a.b / F + 1)^3."""
    return products(a, b).div_(a.shape[1]).add_(1.0).pow_(3)


def minus_distance(a: Tensor, b: Tensor) -> Tensor:
    """-|a - b|, Euclidean."""
    return torch.cdist(a, b).neg_()


def products(a: Tensor, b: Tensor) -> Tensor:
    """a.b of all pairs of rows. NumPy computes half of a symmetric matrix and mirrors it, which PyTorch does not."""
    return torch.from_numpy(a.numpy() @ b.numpy().T)


@dataclass(frozen=True)
class Sums:
    """Sums of a kernel matrix over its columns (N,), over its rows (M,), and of its squares."""

    over_columns: Tensor
    over_rows: Tensor
    squares: float


def sums(a: Tensor, b: Tensor, kernel: Kernel) -> Sums:
    """Over all pairs of rows of a (N, F) and b (M, F)."""
    over_columns, over_rows = torch.zeros(len(a), dtype=torch.float64), torch.zeros(len(b), dtype=torch.float64)
    squares = 0.0
    for first in range(0, len(b), COLUMNS):
        columns = b[first : first + COLUMNS].double()
        for start in range(0, len(a), ROWS):
            block = kernel(a[start : start + ROWS].double(), columns)
            over_columns[start : start + ROWS] += block.sum(1)
            over_rows[first : first + COLUMNS] += block.sum(0)
            squares += block.square_().sum().item()
    return Sums(over_columns, over_rows, squares)


def sums_within(points: Tensor, kernel: Kernel) -> Sums:
    """Over all pairs of different rows of points (N, F). The matrix is symmetric, so that half of its blocks is enough."""
    over, squares = torch.zeros(len(points), dtype=torch.float64), 0.0
    for start in range(0, len(points), ROWS):
        rows = points[start : start + ROWS].double()
        block = kernel(rows, rows).fill_diagonal_(0.0)
        over[start : start + ROWS] += block.sum(1)
        squares += block.square_().sum().item()
        for first in range(start + ROWS, len(points), COLUMNS):
            block = kernel(rows, points[first : first + COLUMNS].double())
            over[start : start + ROWS] += block.sum(1)
            over[first : first + COLUMNS] += block.sum(0)
            squares += 2.0 * block.square_().sum().item()
    return Sums(over, over, squares)


def two_sample(x: Tensor, y: Tensor, kernel: Kernel, among_x: Sums | None = None) -> Estimate:
    """MMD^2 between rows (N, F) and (M, F), at least two each, and its standard error. among_x: `sums_within(x, kernel)`."""
    n, m = len(x), len(y)
    xx, yy, xy = among_x or sums_within(x, kernel), sums_within(y, kernel), sums(x, y, kernel)
    x_means, y_means = xx.over_rows / (n - 1), yy.over_rows / (m - 1)
    value = x_means.mean() + y_means.mean() - 2.0 * xy.over_rows.sum() / (n * m)
    linear = (x_means - xy.over_columns / m).var() / n + (y_means - xy.over_rows / n).var() / m
    rest = 2.0 * _rest(xx, n * (n - 1)) / n**2 + 2.0 * _rest(yy, m * (m - 1)) / m**2 + 4.0 * _rest(xy, n * m) / (n * m)
    return Estimate(value.item(), max(4.0 * linear.item() - rest, rest) ** 0.5)


def _rest(of: Sums, pairs: int) -> float:
    """The variance of a kernel matrix around its row and column means."""
    n, m = len(of.over_columns), len(of.over_rows)
    mean = of.over_rows.sum() / pairs
    rows, columns = of.over_columns * (n / pairs), of.over_rows * (m / pairs)
    return max(0.0, (of.squares / pairs - mean**2 - rows.var() - columns.var()).item())
