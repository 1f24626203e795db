"""FID extrapolated to infinitely many examples (after Chong & Forsyth 2020, arXiv 1911.07023, section 4).

FID is biased upwards in proportion to 1/N, N the number of examples on each side, with a factor that differs from model to
model. FID_N and FID_(N/2) are means over disjoint blocks of N and of N/2 examples of both sets, N the size of the smaller set.
The straight line in 1/N through them is 2 FID_N - FID_(N/2) at 1/N = 0 (Quenouille 1956, doi 10.1093/biomet/43.3-4.353).

Differs from the paper: real and generated examples are cut together, so that the bias of the reference set is taken away too.
Disjoint blocks instead of random subsets: the means over them have the same linear error as the whole, which the line keeps, so
that two sizes are enough. The model's ordinary samples instead of Sobol sequences, which only some models could use.

The standard error is that of the distance of the whole sets (`genarena.statistics.frechet`). If both have one distribution it
is right too: 2 d_N - d_(N/2) then has twice the variance of d_N, and the formula gives twice the variance of d_N.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import Fresh, TwoSampleMetric
from genarena.statistics.frechet import Gaussian, Moments, estimated

SMALLEST = 2049  # examples in a block: with fewer the covariance of 2,048 features is singular


def fitted_to_halves(rows: Tensor, half: int) -> tuple[list[Gaussian], list[Gaussian]]:
    """Gaussians of disjoint blocks of `half` rows of (N, F), and of pairs of such blocks. What is left over is not used."""
    sums: list[Moments] = []
    for first in range(0, len(rows) // (2 * half) * 2 * half, half):
        sums.append(Moments.of(rows[first : first + half], sums[0].shift if sums else None))
    pairs = [one + other for one, other in zip(sums[::2], sums[1::2], strict=True)]
    return [each.gaussian for each in sums], [each.gaussian for each in pairs]


def mean_distance(ours: list[Gaussian], theirs: list[Gaussian]) -> float:
    """Mean over pairs of blocks: each block at least once; those of the shorter list in turn."""
    number = max(len(ours), len(theirs))
    return sum(ours[i % len(ours)].distance(theirs[i % len(theirs)]) for i in range(number)) / number


def distances(real: Tensor, fake: Tensor) -> tuple[list[int], list[float]]:
    """N/2 and N, and the mean distances of blocks of so many rows of real (n, F) and fake (m, F)."""
    half = min(len(real), len(fake)) // 2
    (real_halves, real_pairs), (fake_halves, fake_pairs) = (fitted_to_halves(rows, half) for rows in (real, fake))
    return [half, 2 * half], [mean_distance(real_halves, fake_halves), mean_distance(real_pairs, fake_pairs)]


def extrapolated(found: list[float]) -> float:
    """The line in 1/N through the distances at N/2 and N, at 1/N = 0."""
    return 2.0 * found[1] - found[0]


class FIDInfinity(TwoSampleMetric):
    """FID_N = FID_infinity + c / N; about 0 for equal distributions, where it can be negative."""

    title = "FID inf"
    min_examples = 5000
    too_few = "the covariances of two blocks of fewer are close to singular"

    def update(
        self,
        real_inception: Tensor,
        fake_inception: Tensor,
        fake_order: Tensor,
        fresh_inception: Fresh | None = None,
    ) -> None:
        """Features (N, 2048) and (M, 2048), and those of M real examples in place of samples; with `fake_order` (M,) the blocks
        do not depend on the order of the samples."""
        self.keep(_mixed(real_inception), fake_inception[fake_order], fresh_inception)

    def compute(self) -> float:
        real, fake = self.rows(at_least=2 * SMALLEST)
        sizes, found = distances(real, fake)
        self.facts: dict[str, Any] = {
            "standard_error": estimated(real, fake).standard_error,
            "sizes": sizes,
            "fid": found,
        }
        self.facts |= self.real_facts(lambda rows: extrapolated(distances(real, rows)[1]))
        return extrapolated(found)


def _mixed(rows: Tensor) -> Tensor:
    """The rows in a random order that is always the same: a test split may be sorted by class."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
