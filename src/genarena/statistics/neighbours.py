"""Nearest neighbours in blocks of bounded memory: distances to k-th neighbours, points in balls, nearest training examples.

Balls are closed, as in Kynkaanniemi et al. 2019 (arXiv 1904.06991, eq. 1): a point at exactly the radius is inside. Squared
distances that agree to 1e-9 count as equal. All results are those of float64 (`genarena.statistics.distances`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.statistics.distances import Bounds, Points, bounds, every, exact, prepared

ROWS = 512
COLUMNS = 8192
IN_MEMORY = 2**26  # numbers of a reference that are prepared at once
SPARE = 4  # neighbours that are kept beyond those asked for: enough unless many are almost equally far
TIE = 1.0 + 1e-9


class Listed(NamedTuple):
    """The neighbours with the smallest lower bounds, of n rows: bounds (n, K), ascending by the lower one, and indices (n, K).
    Every other point has a lower bound of at least `lower[:, -1]`."""

    lower: Tensor
    upper: Tensor
    index: Tensor
    whole: bool  # whether all points are listed


def _listed(rows: Points, points: Points, k: int, own: Tensor | None = None) -> Listed:
    """own: (n,) the index of the point that a row is itself, which is left out."""
    lower = torch.empty(len(rows), 0, device=rows.single.device)
    upper, index = lower, lower.long()
    for first in range(0, len(points), COLUMNS):
        block, slack = bounds(rows, points[first : first + COLUMNS])
        if own is not None:
            here = ((own >= first) & (own < first + COLUMNS)).nonzero().flatten()
            block[here, own[here] - first] = torch.inf
        found = block.topk(min(k + SPARE, block.shape[1]), largest=False)
        above = found.values + slack[0][:, None] + slack[1][found.indices]
        lower, upper = torch.cat([lower, found.values], 1), torch.cat([upper, above], 1)
        index = torch.cat([index, found.indices + first], 1)
        lower, order = lower.topk(min(k + SPARE, lower.shape[1]), largest=False)
        upper, index = upper.gather(1, order), index.gather(1, order)
    return Listed(lower, upper, index, whole=lower.shape[1] == len(points))


# -- distances to k-th neighbours --------------------------------------------------------------------------------------


def squared_radii(points: Tensor, ks: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Squared distances (len(ks), N), float64, of each point (N, D) to its k-th nearest other point, for each k."""
    if len(points) <= max(ks):
        raise ValueError(f"k={max(ks)}: needs more than {max(ks)} points, there are {len(points)}")
    distinct, inverse, counts = points.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
    # More than k copies of a point change no radius, and would only be ties.
    copies = torch.arange(len(distinct)).repeat_interleave(counts.clamp_max(max(ks) + 1))
    own = torch.searchsorted(copies, torch.arange(len(distinct)))
    [whole] = prepared(distinct, device=device)
    copies, own = copies.to(whole.exact.device), own.to(whole.exact.device)
    columns = whole if len(copies) == len(whole) else whole[copies]
    parts = zip(torch.arange(len(distinct)).split(ROWS), own.split(ROWS), strict=True)
    radii = [_radii(whole[part[0] : part[-1] + 1], columns, ks, at) for part, at in parts]
    return torch.cat(radii, 1).cpu()[:, inverse]


def _radii(rows: Points, points: Points, ks: Sequence[int], own: Tensor) -> Tensor:
    listed = _listed(rows, points, max(ks), own)
    found, certain = zip(*(_kth(rows, points, listed, k) for k in ks), strict=True)
    found, lacking = torch.stack(found), (~torch.stack(certain).all(0)).nonzero().flatten()
    for some in lacking.split(64) if len(lacking) else ():
        distances = every(rows[some], points)
        distances[torch.arange(len(some)), own[some]] = torch.inf
        nearest_few = distances.topk(max(ks), largest=False).values
        found[:, some] = nearest_few.T[[k - 1 for k in ks]]
    return found


def _kth(rows: Points, points: Points, listed: Listed, k: int) -> tuple[Tensor, Tensor]:
    """Squared distance (n,) to the k-th neighbour, and whether (n,) the list is long enough to be certain."""
    least, most = listed.lower[:, k - 1], listed.upper.kthvalue(k, dim=1).values
    doubtful = (listed.lower <= most[:, None]) & (listed.upper >= least[:, None])
    values = torch.where(listed.upper < least[:, None], -1.0, torch.inf).double()
    row, place = doubtful.nonzero(as_tuple=True)
    values[row, place] = exact(rows, points, row, listed.index[row, place])
    certain = most < listed.lower[:, -1] if not listed.whole else torch.ones_like(most, dtype=torch.bool)
    return values.kthvalue(k, dim=1).values, certain


# -- nearest points ----------------------------------------------------------------------------------------------------


def nearest_distances(queries: Tensor, reference: Tensor, device: torch.device | None = None) -> Tensor:
    """Euclidean distance of each query (N, *shape) to the nearest row of the reference (M, *shape), (N,) float64."""
    return nearest(queries, reference, device=device)[0][:, 0]


def nearest(
    queries: Tensor, reference: Tensor, k: int = 1, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Distances (N, k), float64, and indices (N, k) of the k nearest rows of the reference, the nearest first.

    Distances are those of sum (a - b)^2 in float64, so that a copy has distance 0.
    """
    if not len(queries):
        return torch.empty(0, k, dtype=torch.float64), torch.empty(0, k, dtype=torch.long)
    reference, first = reference.flatten(1), 0
    squared, index = torch.empty(len(queries), 0, dtype=torch.float64), torch.empty(len(queries), 0, dtype=torch.long)
    for part in reference.split(max(1, IN_MEMORY // reference.shape[1])):
        points, rows = prepared(part, queries, device=device)
        found = [_nearest(rows[top : top + ROWS], points, k) for top in range(0, len(rows), ROWS)]
        near, places = (torch.cat(each).cpu() for each in zip(*found, strict=True))
        squared, order = torch.cat([squared, near], 1).sort(dim=1, stable=True)
        index = torch.cat([index, places + first], 1).gather(1, order)[:, :k]
        squared, first = squared[:, :k], first + len(part)
    return squared.sqrt(), index


def _nearest(rows: Points, points: Points, k: int) -> tuple[Tensor, Tensor]:
    listed = _listed(rows, points, k)
    index = listed.index.sort(1).values  # equally far points come in the order of the reference
    row = torch.arange(len(rows), device=index.device).repeat_interleave(index.shape[1])
    squared = exact(rows, points, row, index.flatten()).view(index.shape)
    squared, order = squared.sort(dim=1, stable=True)
    index = index.gather(1, order)
    if not listed.whole:
        next_best = listed.lower[:, -1].double() / points.scale**2
        lacking = (squared[:, k - 1] >= next_best).nonzero().flatten()
        for some in lacking.split(64) if len(lacking) else ():
            found, places = every(rows[some], points).sort(dim=1, stable=True)
            squared[some, :k], index[some, :k] = found[:, :k], places[:, :k]
    return squared[:, :k], index[:, :k]


# -- points in balls ---------------------------------------------------------------------------------------------------

Radii = Mapping[int, Tensor]  # k -> squared radii (N,) of the balls around the points of a set


@dataclass
class Counts:
    """balls: how many of the balls hold each point. points: how many points each ball holds. Both int64."""

    balls: Tensor
    points: Tensor


@dataclass
class _Side:
    """The distinct points of a set, how often each occurs, and the balls around them."""

    points: Tensor
    radii: Radii
    counts: dict[int, Counts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = self.points.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
        self.rows, self.inverse, self.times = found
        first = torch.empty_like(self.times).scatter_(0, self.inverse, torch.arange(len(self.inverse)))
        self.radii = {k: radii[first] for k, radii in self.radii.items()}


def crossed(
    first: Tensor, second: Tensor, radii: Radii, other_radii: Radii, device: torch.device | None = None
) -> tuple[dict[int, Counts], dict[int, Counts]]:
    """Points of the second set (M, D) in balls around those of the first (N, D), for each k; and the reverse. One pass.

    radii: of the balls around the first set; other_radii: around the second.
    """
    sides = _Side(first, radii), _Side(second, other_radii)
    for own, other in (sides, sides[::-1]):
        own.counts = {k: Counts(torch.zeros_like(other.times), torch.zeros_like(own.times)) for k in own.radii}
    rows, columns = prepared(*(side.rows for side in sides), device=device)
    for top in range(0, len(rows), ROWS):
        for left in range(0, len(columns), COLUMNS):
            a, b = rows[top : top + ROWS], columns[left : left + COLUMNS]
            block = bounds(a, b)
            _count(block, a, b, sides, top, left)
    return tuple(
        {k: Counts(count.balls[other.inverse], count.points[own.inverse]) for k, count in own.counts.items()}
        for own, other in (sides, sides[::-1])
    )


def _count(block: Bounds, a: Points, b: Points, sides: tuple[_Side, _Side], top: int, left: int) -> None:
    """Adds what is inside in this block, whose corner is at (top, left)."""
    first, second = sides
    own = {k: radii[top : top + len(a), None] for k, radii in first.radii.items()}
    for k, row, column in _inside(block, a, b, own):
        first.counts[k].balls.index_add_(0, column + left, first.times[row + top])
        first.counts[k].points.index_add_(0, row + top, second.times[column + left])
    own = {k: radii[None, left : left + len(b)] for k, radii in second.radii.items()}
    for k, row, column in _inside(block, a, b, own):
        second.counts[k].balls.index_add_(0, row + top, second.times[column + left])
        second.counts[k].points.index_add_(0, column + left, first.times[row + top])


def _inside(block: Bounds, a: Points, b: Points, radii: Radii) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For each k, rows and columns of the pairs of a block whose distance is within the radius, (n, 1) or (1, M)."""
    if not radii:
        return
    limits = {k: (squared * (TIE * a.scale**2)).to(block.lower.device) for k, squared in radii.items()}
    largest = torch.stack(list(limits.values())).amax(0).float() * (1.0 + 2.0**-20)
    row, column = (block.lower <= largest).nonzero(as_tuple=True)
    lower = block.lower[row, column].double()
    distance = lower + block.slack[0][row] + block.slack[1][column]
    limits = {k: limit.expand(block.lower.shape)[row, column] for k, limit in limits.items()}
    doubtful = torch.zeros_like(row, dtype=torch.bool)
    for limit in limits.values():
        doubtful |= (lower <= limit) & (distance > limit)
    distance[doubtful] = exact(a, b, row[doubtful], column[doubtful]) * a.scale**2
    for k, limit in limits.items():
        hit = distance <= limit
        yield k, row[hit].cpu(), column[hit].cpu()
