"""Frechet distance within classes: how far samples of a label are from test images of that label, the mean over labels.

Miyato & Koyama 2018, arXiv 1802.05637, sec. 4 ("intra FID"), here in the features of `fd_domain`. Samples that ignore their
label have the `fd_domain` of good ones, and a large distance here.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.errors import counted
from genarena.metrics.base import FrechetMetric, Fresh, Unavailable
from genarena.spec import DataSpec
from genarena.statistics.frechet import fit, mean_distance, mean_estimated


class OfClass(NamedTuple):
    """Rows of features of one label: test images, samples, and training images in place of samples (None: there are none)."""

    label: int
    real: Tensor
    fake: Tensor
    fresh: Tensor | None


class FrechetDomainDistancePerClass(FrechetMetric):
    """Mean over labels of |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). `per_class` in the record has each, with its numbers of
    images: it is biased upwards by more than `fd_domain`, because a class has fewer; `real` has the same bias."""

    title = "FD per class"

    def update(
        self,
        test_labels: Tensor,
        conditions: Tensor,
        real_domain: Tensor,
        fake_domain: Tensor,
        spec: DataSpec,
        num_classifiers: int = 1,
        fresh_of_labels: Fresh | None = None,
    ) -> None:
        """Labels of test images (N,) and of samples (M,), and features of both (N, num_classifiers * F) and (M, ...); and those
        of a training image for each sample."""
        if not spec.is_image:
            raise Unavailable("fd_domain_per_class is for images: vectors have no domain classifiers")
        self.num_networks = num_classifiers
        self.keep(real_domain, fake_domain, fresh_of_labels)
        self.test_labels, self.conditions = test_labels.cpu(), conditions.cpu()

    def compute(self) -> float:
        classes = self._classes()
        fewest, dims = min(classes, key=_size), classes[0].real.shape[1] // self.num_networks
        if _size(fewest) <= dims:
            raise Unavailable(
                f"label {fewest.label} has {counted(len(fewest.real), 'test image')} "
                f"and {counted(len(fewest.fake), 'sample')}: the covariance "
                f"of {dims} features needs at least {dims + 1} of both"
            )
        found = [self._measured(each) for each in classes]
        errors = torch.tensor([each.pop("error") for each in found], dtype=torch.float64)
        self.facts = {"standard_error": errors.norm().item() / len(found), "per_class": found}
        self.facts |= self.real_facts(lambda rows: _mean([each["real"] for each in found]))
        return _mean([each["value"] for each in found])

    def _classes(self) -> list[OfClass]:
        real, fake = self.rows()
        fresh = None if self.fresh is None else self.fresh.rows
        masks = [(label, self.test_labels == label, self.conditions == label) for label in self._labels()]
        return [OfClass(label, real[a], fake[b], None if fresh is None else fresh[b]) for label, a, b in masks]

    def _labels(self) -> list[int]:
        """All labels that samples were asked for, or that test images have."""
        return torch.cat([self.conditions, self.test_labels]).unique().tolist()

    def _measured(self, rows: OfClass) -> dict[str, Any]:
        fitted = [fit(part) for part in rows.real.chunk(self.num_networks, 1)]
        (value, error), _ = mean_estimated(rows.real, rows.fake, fitted)
        found = {"label": rows.label, "value": value, "n": len(rows.fake), "n_real": len(rows.real), "error": error}
        if rows.fresh is not None:
            found["real"] = mean_distance(fitted, [fit(part) for part in rows.fresh.chunk(self.num_networks, 1)])
        return found


def _size(rows: OfClass) -> int:
    return min(len(rows.real), len(rows.fake))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
