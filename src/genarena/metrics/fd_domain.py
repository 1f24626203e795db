"""Frechet distance on the penultimate features of the domain classifiers: FID's formula with features for this data set.

Formula: Heusel et al. 2017, arXiv 1706.08500, eq. 6. Features: `genarena.evaluation.features`; they are genarena's own. The
distance in the features of one classifier changes with its seed by more than good models differ, so several are averaged.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import FrechetMetric, Unavailable
from genarena.spec import DataSpec


class FrechetDomainDistance(FrechetMetric):
    """Mean over the classifiers of |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Not comparable between data sets."""

    title = "FD domain"

    def __init__(self) -> None:
        super().__init__()
        self.num_classifiers, self.per_classifier = 1, []

    def update(self, real_domain: Tensor, fake_domain: Tensor, spec: DataSpec, num_classifiers: int = 1) -> None:
        """Features (N, num_classifiers * F) and (M, num_classifiers * F), those of the classifiers side by side."""
        if not spec.is_image:
            raise Unavailable("fd_domain is for images: vectors have no domain classifiers")
        self.num_classifiers = num_classifiers
        self.keep(real_domain, fake_domain)

    def compute(self) -> float:
        sides = (rows.chunk(self.num_classifiers, dim=1) for rows in self.rows(at_least=self.min_examples))
        self.per_classifier = [self.distance(real, fake) for real, fake in zip(*sides, strict=True)]
        return sum(self.per_classifier) / self.num_classifiers

    def record(self) -> dict[str, Any]:
        """`per_classifier`: the distance of each. `spread`: their standard deviation; null for one."""
        values = torch.tensor(self.per_classifier, dtype=torch.float64)
        spread = values.std().item() if len(values) > 1 else None
        return super().record() | {"per_classifier": self.per_classifier, "spread": spread}
