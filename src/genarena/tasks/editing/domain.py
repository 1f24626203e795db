"""Images as the domain classifiers see them: features, class probabilities, Frechet distances at equal numbers.

The classifiers are trained on real images and know nothing of the models.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation import features
from genarena.files.progress import Bars
from genarena.likelihood import to_unit
from genarena.metrics.base import Unavailable
from genarena.statistics import frechet
from genarena.tasks.base import Record

ROWS = 500
MOST = 10_000  # test images of the reference


class Domain:
    """Raises ValueError for data without domain classifiers."""

    def __init__(self, data: ArenaDataModule) -> None:
        try:
            self.classifiers = features.domain_classifiers(data, Bars(False))
        except Unavailable as error:
            raise ValueError(str(error)) from error
        self.has_classes = data.test.y.dim() == 1
        self.real = self.features(to_unit(data.test[:MOST].x, data.spec.num_levels))
        self._fitted = [frechet.fit(each) for each in self.classifiers.blocks(self.real)]
        halves = self.real[: 2 * (len(self.real) // 2)].chunk(2)
        self.typical = (halves[0] - halves[1]).norm(dim=1).mean().item()  # distance of two test images

    @torch.no_grad()
    def features(self, unit: Tensor) -> Tensor:
        """Images (N, C, H, W), clamped to [-1, 1], not rounded, to features (N, F) of all classifiers."""
        parts = unit.clamp(-1.0, 1.0).float().split(ROWS)
        pairs = list(zip(self.classifiers.members, self.classifiers.scale, strict=True))
        return torch.cat([torch.cat([each.embed(part) / scale for each, scale in pairs], 1) for part in parts])

    def probabilities(self, features: Tensor) -> Tensor:
        """Mean over the classifiers, (N, K): of classes, or of each attribute."""
        logits = self.classifiers.logits(features)
        return (logits.softmax(2) if self.has_classes else logits.sigmoid()).mean(0)

    def distance(self, features: Tensor) -> Record:
        """The Frechet distance to the test images. It is biased upwards: only equal numbers of images compare."""
        if not features.isfinite().all():
            return {"value": None, "reason": "images are not finite"} | self._facts(features)
        found, _ = frechet.mean_estimated(self.real, features, self._fitted)
        return {"value": found.value, "standard_error": found.standard_error} | self._facts(features)

    def _facts(self, features: Tensor) -> dict[str, Any]:
        return {"n": len(features), "title": "FD domain", "higher_is_better": False, **self.facts}

    @property
    def facts(self) -> dict[str, Any]:
        return {"backbone": self.classifiers.facts}
