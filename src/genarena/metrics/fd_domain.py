"""Frechet distance on the penultimate features of the domain classifier: FID's formula with features for this data set.

Formula: Heusel et al. 2017, arXiv 1706.08500, eq. 6. Features: `genarena.evaluation.features`; they are genarena's own.
"""

from torch import Tensor

from genarena.metrics.base import FrechetMetric, Unavailable
from genarena.spec import DataSpec


class FrechetDomainDistance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Not comparable between data sets, nor with FID."""

    title = "FD domain"

    def update(self, real_domain: Tensor, fake_domain: Tensor, spec: DataSpec) -> None:
        """Features (N, F) and (M, F)."""
        if not spec.is_image:
            raise Unavailable("fd_domain is for images: vectors have no domain classifier")
        self.keep(real_domain, fake_domain)
