"""Samples of labels as the domain classifiers see them: the right class, near real images, as diverse as these.

FD joint is the Frechet joint distance (DeVries et al. 2019, arXiv 1907.08175): the Frechet distance of pairs (features, label),
in which the label counts as much as the features. It grows with wrong labels, with bad images, and with images of a label that
are too much alike, so that one number ranks models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.evaluation import features
from genarena.evaluation.classifier import DomainClassifiers
from genarena.evaluation.evidence.attributes import attributes_seen
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.statistics.balanced_accuracy import FEWEST, balanced_accuracy
from genarena.statistics.frechet import Gaussian, fit, mean_estimated
from genarena.statistics.intervals import t_quantile
from genarena.statistics.manifolds import Manifolds, Overlap
from genarena.tasks.base import Record
from genarena.tasks.editing.records import missing, record

MOST = 5_000  # test images of the reference
ATTRIBUTES = "attribute accuracy"  # the title of `class_accuracy` where attributes are asked for
NEIGHBOUR = 3  # at the rim of a ball, for precision and recall
TITLES = {
    "fd_joint": ("FD joint", False),
    "class_accuracy": ("class accuracy", True),
    "recall": ("recall", True),
    "precision": ("precision", True),
    "fd_domain": ("FD domain", False),
}


@dataclass(frozen=True)
class Halves:
    """Two parts of the test images, drawn with a fixed seed: `reference` and `others`, which stand in the place of samples."""

    reference: Split
    others: Split

    @classmethod
    def of(cls, data: ArenaDataModule, num: int, seed: int) -> "Halves":
        """others: at most `num`, and at most half of the images."""
        size = data.test.size
        order = torch.randperm(size, generator=seeded_generator(seed, size))
        half = size // 2
        return cls(data.test[order[half:][:MOST]], data.test[order[: min(num, half)]])


class Reference:
    """Real images with their labels, in the features of all domain classifiers.

    shares: of the training images with each attribute, where these are the labels (N, K).
    """

    def __init__(self, classifiers: DomainClassifiers, real: Split, shares: Tensor | None = None) -> None:
        self.classifiers, self.size, self.shares = classifiers, real.size, shares
        self.features = classifiers.features(real.x)
        blocks = classifiers.blocks(self.features)
        self.scales = [block.norm(dim=1).mean().item() for block in blocks]  # of the labels: those of the features
        self.joint = self.with_labels(self.features, real.y)
        self._fitted = [fit(block) for block in blocks]
        self._fitted_joint = [fit(block) for block in self.joint.chunk(len(blocks), 1)]

    def with_labels(self, rows: Tensor, y: Tensor) -> Tensor:
        """Features of each classifier, and beside them the label of the image, as a vector of their mean length; attributes are
        -1 or 1 in it, times a constant."""
        if y.dim() == 1:
            labels = F.one_hot(y, self.classifiers.spec.num_classes).float()
        else:
            labels = (2.0 * y.float() - 1.0) / y.shape[1] ** 0.5
        blocks = zip(self.classifiers.blocks(rows), self.scales, strict=True)
        return torch.cat([part for block, scale in blocks for part in (block, scale * labels)], 1)

    def fd_joint(self, rows: Tensor, y: Tensor) -> Record:
        return _distance("fd_joint", self.joint, self.with_labels(rows, y), self._fitted_joint)

    def fd_domain(self, rows: Tensor) -> Record:
        return _distance("fd_domain", self.features, rows, self._fitted)

    def manifolds(self, rows: Tensor) -> dict[str, Record]:
        """Precision and recall, of equally many real images."""
        n = min(len(rows), self.size)
        both = Manifolds(self.features[:n], rows[:n])
        return {"recall": _share("recall", both), "precision": _share("precision", both)}

    def scores(self, x: Tensor, y: Tensor) -> dict[str, Record]:
        """Of images of levels (N, C, H, W) that are to show the labels y (N,), or the attributes y (N, K)."""
        rows = self.classifiers.features(x)
        both = self.manifolds(rows)
        return {
            "fd_joint": self.fd_joint(rows, y),
            "class_accuracy": self.accuracy(rows, y),
            "recall": both["recall"],
            "precision": both["precision"],
            "fd_domain": self.fd_domain(rows),
        }

    def accuracy(self, rows: Tensor, y: Tensor) -> Record:
        """The share of images whose class is y; of attributes the mean balanced accuracy."""
        if self.shares is None:
            return record((self.classifiers.classes(rows) == y).double(), *TITLES["class_accuracy"])
        found = balanced_accuracy(attributes_seen(self.classifiers, rows, self.shares), y)
        if not found.attributes:
            reason = f"there is no attribute that {FEWEST} of {len(y)} images are asked for and {FEWEST} not"
            return missing(ATTRIBUTES, reason, True)
        facts = {"n": len(y), "attributes": found.attributes, "title": ATTRIBUTES, "higher_is_better": True}
        return {"value": found.value, **_spread(found.standard_error, len(y)), **facts}


def classifiers_of(data: ArenaDataModule) -> DomainClassifiers:
    """Raises ValueError for data without domain classifiers."""
    try:
        return features.domain_classifiers(data, Bars(False))
    except Unavailable as error:
        raise ValueError(str(error)) from error


def not_scored(reason: str, kind: str = "label") -> Mapping[str, Record]:
    """Records without a value. kind: of the condition."""
    titles = TITLES | ({"class_accuracy": (ATTRIBUTES, True)} if kind == "attributes" else {})
    return {name: missing(title, reason, better) for name, (title, better) in titles.items()}


def chance(asked: Tensor, shown: Tensor, num_labels: int) -> float:
    """sum_c p_c q_c: the accuracy of images of classes `shown` (N,) for labels `asked` (M,) that do not depend on them."""
    p, q = (torch.bincount(part, minlength=num_labels).double() / len(part) for part in (asked, shown))
    return float(p @ q)


def _distance(name: str, real: Tensor, rows: Tensor, fitted: list[Gaussian]) -> Record:
    (value, error), each = mean_estimated(real, rows, fitted)
    title, better = TITLES[name]
    facts = {"n": len(rows), "n_real": len(real), "per_classifier": each}
    return {"value": value, **_spread(error, len(rows)), "title": title, "higher_is_better": better, **facts}


def _share(name: str, both: Manifolds) -> Record:
    def values(manifolds: Manifolds) -> Tensor:
        overlap: Overlap = manifolds.of(NEIGHBOUR)
        return ((overlap.fake if name == "recall" else overlap.real).balls > 0).double()

    title, better = TITLES[name]
    n = len(both.fake)
    spread = _spread(both.standard_error(values), n) if n > 4 * NEIGHBOUR else {}
    facts = {"n": n, "n_real": len(both.real), "k": NEIGHBOUR}
    return {"value": values(both).mean().item(), **spread, "title": title, "higher_is_better": better, **facts}


def _spread(error: float, num: int) -> dict[str, float]:
    """A standard error, and half the 95% interval."""
    return {"standard_error": error, "ci95_half_width": t_quantile(num - 1) * error}
