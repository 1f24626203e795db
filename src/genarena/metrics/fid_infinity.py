"""FID extrapolated to infinitely many samples (Chong & Forsyth 2020, arXiv 1911.07023, section 4).

FID is biased upwards in proportion to 1/N, N the number of samples, with a factor that differs from model to model. FID_N is
measured at 15 values of N, each on another random subset, and a straight line in 1/N is extrapolated to 1/N = 0.

Differs from the paper: the model's ordinary samples instead of Sobol sequences, which only some models could use. As in
the paper the reference set is fixed, so the bias from its size remains.
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
    """15 evenly spaced sizes up to `num_samples`, from a tenth of it (the paper: 5,000 of 50,000), at least 2,049."""
    return np.linspace(max(SMALLEST, num_samples // 10), num_samples, POINTS).astype(int).tolist()


def distances_at(real: Tensor, fake: Tensor, sizes: list[int]) -> list[float]:
    """FID_N for each N in `sizes`: a random subset of the samples (M, F), drawn with a fixed seed, against all real rows."""
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
        """Features (N, 2048) and (M, 2048); with `fake_order` (M,) the subsets do not depend on the order of the samples."""
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
