"""Frechet distance on the penultimate features of the domain classifier: FID's formula in the data set's own terms."""

from torch import Tensor

from genarena.frechet import frechet_distance, gaussian_statistics
from genarena.metrics.base import TwoSampleMetric, Unavailable
from genarena.spec import DataSpec


class FrechetDomainDistance(TwoSampleMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Not comparable between data sets, nor with FID."""

    title = "FD domain"

    def update(self, real_features: Tensor, fake_features: Tensor, spec: DataSpec) -> None:
        """Features (N, F) and (M, F)."""
        if not spec.is_image:
            raise Unavailable("fd_domain is for images: vectors have no domain classifier")
        self.keep(real_features, fake_features)

    def compute(self) -> float:
        real, fake = self.rows()
        return frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake))
