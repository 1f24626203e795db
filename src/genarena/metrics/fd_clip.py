"""Frechet distance: how far samples are from test data, in the features of CLIP (Stein et al. 2023, arXiv 2306.04675).

Network, layer, resize and normalisation are the paper's (`genarena.evaluation.backbones`). Differs from the paper: the
reference is the test split.
"""

from torch import Tensor

from genarena.metrics.base import FrechetMetric, Fresh


class FrechetCLIPDistance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) on the 1024 features of CLIP ViT-L/14."""

    title = "FD CLIP"
    min_examples = 1025

    def update(self, real_clip: Tensor, fake_clip: Tensor, fresh_clip: Fresh | None = None) -> None:
        """Features (N, 1024) and (M, 1024), and those of M real examples in place of samples."""
        self.keep(real_clip, fake_clip, fresh_clip)
