"""Whether samples show the class that was asked for, by the predictions of the domain classifiers.

Differs from the classification accuracy score of Ravuri & Vinyals 2019 (arXiv 1905.10887), which trains a classifier on
samples: here the classifier was trained on real images, as in Odena et al. 2017 (arXiv 1610.09585, sec. 4.2).
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.spec import DataSpec


class ClassAccuracy(ArenaMetric):
    """Share of the conditional samples whose predicted class is their label.

    A model whose samples of a class are all alike may have 1, so read it beside a distance. `real` in the record is the
    accuracy of the same classifier on the real test images, which is the ceiling for samples like real ones.
    """

    title = "class accuracy"
    unit = ""
    range = (0.0, 1.0)
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.real = 0.0

    def update(self, conditions: Tensor, fake_classes: Tensor, spec: DataSpec, domain_accuracy: float) -> None:
        """`conditions` (N,) labels of the samples, and the predicted `fake_classes` (N,), int64."""
        if spec.condition is None or spec.condition.kind != "label":
            raise Unavailable("needs a model that is conditional on labels (data.condition=label)")
        self.right += int((conditions.cpu() == fake_classes.cpu()).sum())
        self.count += len(conditions)
        self.real = domain_accuracy

    def compute(self) -> float:
        if not self.count:
            raise Unavailable("there are no samples to classify")
        return int(self.right) / int(self.count)

    def record(self) -> dict[str, Any]:
        """`standard_error`: of a share of independent samples, (p (1 - p) / n)^(1/2)."""
        n, share = int(self.count), self.compute()
        return {"n": n, "standard_error": (share * (1 - share) / n) ** 0.5, "real": self.real, "real_from": "test"}
