"""Kernel distance: how far samples are from test data, in the features of Inception; about 0 if equal.

Binkowski et al. 2018, arXiv 1801.01401. Differs from the paper: one unbiased estimate from all pairs of examples instead of the
mean over random subsets of 1,000. Both have the same expectation; this one has less variance and depends neither on random
subsets nor on order.
"""

from torch import Tensor

from genarena.metrics.base import Fresh, KernelMetric
from genarena.statistics.kernel import cubic


class KernelInceptionDistance(KernelMetric):
    """Unbiased MMD^2 with the kernel (a.b / F + 1)^3 on the F = 2048 pool features of Inception; it can be negative."""

    title = "KID"
    kernel = staticmethod(cubic)

    def update(self, real_inception: Tensor, fake_inception: Tensor, fresh_inception: Fresh | None = None) -> None:
        """Features (N, 2048) and (M, 2048), and those of M real examples in place of samples."""
        self.keep(real_inception, fake_inception, fresh_inception)
