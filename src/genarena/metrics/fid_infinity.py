"""FID extrapolated to infinitely many samples (Chong & Forsyth 2020, arXiv 1911.07023, section 4).

FID is biased upwards by an amount that falls with 1/N, N the number of samples, at a rate that differs from model to
model. FID_N is measured at 15 values of N, each on a subset of its own, and a straight line in 1/N gives the value at 0.

Differs from the paper: the model's ordinary samples instead of Sobol sequences, which only some models could use. As in
the paper the reference stays as it is, so its own share of the bias remains.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genarena.metrics.base import TwoSampleMetric, Unavailable
from genarena.statistics.frechet import frechet_distance, gaussian_statistics

POINTS = 15
SMALLEST = 2049  # samples: with fewer the covariance of 2,048 features is singular
FEWEST_SAMPLES = 5000


def subset_sizes(num_samples: int) -> list[int]:
    """15 sizes at equal distances, the smallest a tenth of all (the paper's 5,000 of 50,000) but no less than 2,049."""
    return np.linspace(max(SMALLEST, num_samples // 10), num_samples, POINTS).astype(int).tolist()


def distances_at(real: Tensor, fake: Tensor, sizes: list[int]) -> list[float]:
    """FID_N for each N: a subset of its own of the samples (N, F), drawn by a fixed seed, against all real rows."""
    reference, generator = gaussian_statistics(real), torch.Generator().manual_seed(0)
    subsets = (fake[torch.randperm(len(fake), generator=generator)[:size]] for size in sizes)
    return [frechet_distance(*reference, *gaussian_statistics(subset)) for subset in subsets]


def extrapolated(sizes: list[int], distances: list[float]) -> tuple[float, float]:
    """Intercept and slope of the least-squares line through (1/N, FID_N)."""
    slope, intercept = np.polyfit(1.0 / np.array(sizes), distances, 1)
    return float(intercept), float(slope)


class FIDInfinity(TwoSampleMetric):
    """FID_N = FID_infinity + a / N."""

    title = "FID inf"
    min_examples = SMALLEST
    too_few = "with fewer the covariance of the features is singular"

    def __init__(self) -> None:
        super().__init__()
        self.points: tuple[list[int], list[float]] = ([], [])

    def update(self, real_inception: Tensor, fake_inception: Tensor, fake_order: Tensor) -> None:
        """Features (N, 2048) and (M, 2048); `fake_order` (M,) makes the subsets a matter of content, not of order."""
        self.keep(real_inception, fake_inception[fake_order])

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.min_examples)
        if len(fake) < FEWEST_SAMPLES:
            raise Unavailable(
                f"needs at least {FEWEST_SAMPLES:,} samples, or there is no range of N to extrapolate from; "
                f"there are {len(fake):,}"
            )
        sizes = subset_sizes(len(fake))
        self.points = sizes, distances_at(real, fake, sizes)
        return extrapolated(*self.points)[0]

    def record(self) -> dict[str, Any]:
        sizes, distances = self.points
        return super().record() | {"sizes": sizes, "fid": distances, "slope": extrapolated(sizes, distances)[1]}
