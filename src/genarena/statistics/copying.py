"""Are points nearer to examples than new data are? Distances that tolerate shifts of images, tests of two shares or ranks."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.statistics.neighbours import IN_MEMORY, nearest, squared_radii

CHANCE = 1e-6  # of an alarm about samples that are as new as test examples
PEERS = 50  # the neighbour that says how far examples usually are from a point


class Closeness(NamedTuple):
    """nearest: distance (N,) of each query to the nearest example, for images also under shifts. usual: to its 50th nearest
    example. Both float64."""

    nearest: Tensor
    usual: Tensor


def closeness(queries: Tensor, examples: Tensor, shift: int, device: torch.device | None = None) -> Closeness:
    """Euclidean distances of queries (N, *shape) to examples (M, *shape), a tensor or lazy.

    Images (N, C, H, W) are compared at all shifts by up to `shift` pixels, over the part where both have pixels: the mean
    squared difference there times the number of pixels of an image, so that a shifted copy has distance 0.
    """
    found = torch.full((len(queries),), torch.inf, dtype=torch.float64)
    usual = torch.empty(len(queries), 0, dtype=torch.float64)
    dims = math.prod(queries.shape[1:])
    for part in examples.split(max(1, IN_MEMORY // dims)):
        distances = nearest(queries, part, min(PEERS, len(part)), device)[0]
        usual = torch.cat([usual, distances], 1).sort(1).values[:, :PEERS]
        found = torch.minimum(found, distances[:, 0])
        for here, there in _overlaps(queries, shift):
            moved = queries[here].flatten(1)
            larger = math.sqrt(dims / moved.shape[1])
            found = torch.minimum(found, larger * nearest(moved, part[there].flatten(1), device=device)[0][:, 0])
    return Closeness(found, usual[:, -1])


def _overlaps(images: Tensor, shift: int) -> Iterator[tuple[tuple, tuple]]:
    """For each shift but none, the pixels of one image and those of another that come to lie on each other."""
    if images.ndim != 4:
        return
    height, width = images.shape[2:]
    shifts = range(-shift, shift + 1)
    for down in (each for each in shifts if abs(each) < height):
        for right in (each for each in shifts if abs(each) < width and (down or each)):
            yield (
                (..., slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))),
                (..., slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right))),
            )


def spacing(examples: Tensor, device: torch.device | None = None) -> Tensor:
    """Distance (N,) of each example (N, D) to the nearest other one."""
    return squared_radii(examples, (1,), device)[0].sqrt()


def authentic(
    points: Tensor, examples: Tensor, spaces: Tensor | None = None, device: torch.device | None = None
) -> Tensor:
    """(N,) booleans: d(x, t) > d(t, t'), with t the example nearest to x, and t' the other one nearest to t.

    spaces: `spacing(examples)`, if it is known."""
    distances, index = (found[:, 0] for found in nearest(points, examples, device=device))
    if spaces is not None:
        return distances > spaces[index]
    some, place = index.unique(return_inverse=True)
    # The nearest is t itself, or a copy of it.
    return distances > nearest(examples[some], examples, k=2, device=device)[0][place, 1]


def excess(hits: int, n: int, others: int, m: int) -> float:
    """P(at least `hits` of the n + m in the first group), given hits + others in all, if both shares are equal (Fisher 1922,
    doi 10.2307/2340521)."""
    total = hits + others

    def log_choose(a: int, b: int) -> float:
        return math.lgamma(a + 1) - math.lgamma(b + 1) - math.lgamma(a - b + 1)

    every = log_choose(n + m, total)
    terms = (
        log_choose(n, k) + log_choose(m, total - k) - every for k in range(max(hits, total - m), min(n, total) + 1)
    )
    return min(1.0, sum(map(math.exp, terms)))


class Ranked(NamedTuple):
    """z: of the test of Mann & Whitney (1947, doi 10.1214/aoms/1177730491), above 0 where the first values are larger; its
    variance is 1 if both have the same distribution. error: standard error of z otherwise (DeLong et al. 1988,
    doi 10.2307/2531595). below: probability that a first value is smaller than a second one; ties count half."""

    z: float
    error: float
    below: float


def ranked(first: Tensor, second: Tensor) -> Ranked:
    """Compares values (m,) and (n,)."""
    m, n = len(first), len(second)
    above = _share_below(first, second)  # of each first value, the share of second values below it
    beneath = 1.0 - _share_below(second, first)
    share = above.mean().item()
    scale = m * n / math.sqrt(m * n * (m + n + 1) / 12)
    spread = [values.var().item() / len(values) if len(values) > 1 else 0.0 for values in (above, beneath)]
    return Ranked(scale * (share - 0.5), scale * math.sqrt(sum(spread)), 1.0 - share)


def _share_below(values: Tensor, others: Tensor) -> Tensor:
    """For each value (m,) the share of the others (n,) below it; ties count half."""
    ordered = others.double().sort().values
    counts = [torch.searchsorted(ordered, values.double(), right=right) for right in (False, True)]
    return (counts[0] + counts[1]).double() / (2 * len(others))
