"""Frechet distance: how far samples are from test data, in the features of Inception (Heusel et al. 2017, arXiv 1706.08500).

Inception and its weights are those of torch-fidelity, identified by their sha256; the value equals torch-fidelity's on the
same images. Differs from most papers: the reference is the test split, not 50,000 training images. With 2,048 examples or
fewer the covariance of the 2,048 features is singular and the number would mean little, so no value is given.
"""

from torch import Tensor

from genarena.metrics.base import FrechetMetric, Fresh


class FrechetInceptionDistance(FrechetMetric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) on the 2048 pool features of Inception."""

    title = "FID"
    min_examples = 2049

    def update(self, real_inception: Tensor, fake_inception: Tensor, fresh_inception: Fresh | None = None) -> None:
        """Features (N, 2048) and (M, 2048), and those of M real examples in place of samples."""
        self.keep(real_inception, fake_inception, fresh_inception)
