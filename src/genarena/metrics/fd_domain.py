"""Frechet distance: how far samples are from test data, in the features of classifiers of this data set.

FID's formula: Heusel et al. 2017, arXiv 1706.08500, eq. 6. Features: the penultimate ones of the domain classifiers
(`genarena.evaluation.features`); they are genarena's own. The distance in the features of one classifier changes with its seed
by more than good models differ, so several are averaged.

The distance is biased upwards, in proportion to 1/n: 64 features and 360 test images leave real images a distance of several
units. So at less than ten examples per feature it tells models apart only where they differ by more than that; `real` in the
record is the distance of as many real images. `kd_domain` has no such bias.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import FrechetMetric, Fresh, Unavailable
from genarena.spec import DataSpec


class FrechetDomainDistance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Not comparable between data sets, nor with FID."""

    title = "FD domain"

    def update(
        self,
        real_domain: Tensor,
        fake_domain: Tensor,
        spec: DataSpec,
        num_classifiers: int = 1,
        fresh_domain: Fresh | None = None,
    ) -> None:
        """Features (N, num_classifiers * F) and (M, num_classifiers * F), those of the classifiers side by side, and those of
        M real examples in place of samples."""
        if not spec.is_image:
            raise Unavailable("fd_domain is for images: vectors have no domain classifiers")
        self.num_networks = num_classifiers
        self.keep(real_domain, fake_domain, fresh_domain)

    def record(self) -> dict[str, Any]:
        """`per_classifier`: the distance of each. `spread`: their standard deviation; null for one."""
        values = torch.tensor(self.of_each, dtype=torch.float64)
        spread = values.std().item() if len(values) > 1 else None
        return super().record() | {"per_classifier": self.of_each, "spread": spread}
