"""Frechet distance: how far samples are from test data, in the features of DINOv2 (Stein et al. 2023, arXiv 2306.04675).

The paper found that it agrees with human judgement better than Inception does. Network, layer, resize and normalisation
are the paper's (`genarena.evaluation.backbones`). Differs from the paper: the reference is the test split.
"""

from torch import Tensor

from genarena.metrics.base import FrechetMetric, Fresh


class FrechetDINOv2Distance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) on the 1024 features of DINOv2 ViT-L/14."""

    title = "FD DINOv2"
    min_examples = 1025

    def update(self, real_dinov2: Tensor, fake_dinov2: Tensor, fresh_dinov2: Fresh | None = None) -> None:
        """Features (N, 1024) and (M, 1024), and those of M real examples in place of samples."""
        self.keep(real_dinov2, fake_dinov2, fresh_dinov2)
