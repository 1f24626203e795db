"""Whether restorations look like images of the data set: Frechet distance in the features of its domain classifiers, and
agreement of their classes with the labels.

The distance is biased by the number of images, so restorations of n test images are compared with n other test images, and
beside it stands the distance of the n originals to the same others: what a perfect restoration would get.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation import features
from genarena.evaluation.classifier import DomainClassifiers
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.statistics import frechet
from genarena.tasks.restoring.images import Images, order_of
from genarena.tasks.restoring.records import Score, Scores

FEWEST = 20  # images that a distance is measured on


@dataclass(frozen=True)
class Realism:
    """classifiers: of the data set, or None, for the `reason`. others: features (n, F) of the other test images. originals:
    the distance of the first n originals to them. labels: (N,) of the images, or None."""

    num_levels: int
    classifiers: DomainClassifiers | None = None
    reason: str = ""
    others: Tensor | None = None
    originals: float | None = None
    labels: Tensor | None = None

    @classmethod
    def of(cls, data: ArenaDataModule, test: Images) -> "Realism":
        """For restorations of `test`, the first images of `Images.of(data.test, ...)`."""
        try:
            with Bars() as bars:
                classifiers = features.domain_classifiers(data, bars)
        except Unavailable as error:
            return cls(data.spec.num_levels, reason=str(error))
        num = min(len(test.x), data.test.size - len(test.x))
        one_class = data.spec.num_classes is not None and test.y is not None
        made = cls(data.spec.num_levels, classifiers, labels=test.y.long() if one_class else None)
        if num < FEWEST:
            reason = f"needs {FEWEST} test images, and as many others to compare with; there are {num} others"
            return cls(made.num_levels, classifiers, reason, labels=made.labels)
        index = order_of(data.test.size)[len(test.x) : len(test.x) + num]
        others = classifiers.features(data.test[index].x)
        first = made.features(test.x[:num])
        return cls(made.num_levels, classifiers, "", others, _distance(first, others, classifiers), made.labels)

    @property
    def weights(self) -> str:
        """What tells these scores from those by other classifiers: a digest of the weights; "none" without classifiers."""
        return self.classifiers.digest if self.classifiers else "none"

    def scores(self, x: Tensor) -> Scores:
        """Of restorations (N, C, H, W) in [0, 1], which are clamped and rounded to the levels of the data."""
        if self.classifiers is None:
            return {"fd_domain": Score(reason=self.reason)}
        found = self.features(x)
        return {"fd_domain": self._distance(found)} | self._agreement(found)

    def features(self, x: Tensor) -> Tensor:
        levels = (x.clamp(0.0, 1.0) * (self.num_levels - 1)).round()
        return self.classifiers.features(levels.to(torch.uint8 if self.num_levels <= 256 else torch.int32))

    def _distance(self, found: Tensor) -> Score:
        if self.others is None:
            return Score(reason=self.reason)
        num = len(self.others)
        facts = {"n": num, "real": self.originals, "backbone": self.classifiers.facts}
        return Score(value=_distance(found[:num], self.others, self.classifiers), facts=facts)

    def _agreement(self, found: Tensor) -> Scores:
        """The share of the images whose class is the label."""
        if self.labels is None:
            return {}
        right = self.classifiers.classes(found) == self.labels
        return {"agreement": Score(right.double(), facts={"backbone": self.classifiers.facts})}


def _distance(first: Tensor, second: Tensor, classifiers: DomainClassifiers) -> float:
    """The mean over the classifiers."""
    parts = zip(classifiers.blocks(first), classifiers.blocks(second), strict=True)
    fitted = [(frechet.fit(one), frechet.fit(two)) for one, two in parts]
    return frechet.mean_distance(*zip(*fitted, strict=True))
