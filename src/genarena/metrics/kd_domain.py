"""Kernel distance: how far samples are from test data, in the features of classifiers of this data set; about 0 if equal.

KID's formula: Binkowski et al. 2018, arXiv 1801.01401, over all pairs, as in `kid`. Features: the penultimate ones of the
domain classifiers (`genarena.evaluation.features`); they are genarena's own, of all classifiers side by side: the kernel takes
the mean of their products. Unlike `fd_domain` it has no bias at any number of examples, so it may be used on small test splits.
"""

from torch import Tensor

from genarena.metrics.base import Fresh, KernelMetric, Unavailable
from genarena.spec import DataSpec
from genarena.statistics.kernel import cubic


class KernelDomainDistance(KernelMetric):
    """Unbiased MMD^2 with the kernel (a.b / F + 1)^3. Not comparable between data sets, nor with KID."""

    title = "KD domain"
    kernel = staticmethod(cubic)

    def update(
        self, real_domain: Tensor, fake_domain: Tensor, spec: DataSpec, fresh_domain: Fresh | None = None
    ) -> None:
        """Features (N, F) and (M, F), and those of M real examples in place of samples."""
        if not spec.is_image:
            raise Unavailable("kd_domain is for images: vectors have no domain classifiers")
        self.keep(real_domain, fake_domain, fresh_domain)
