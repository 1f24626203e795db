"""Which metric notices which fault: real images are disturbed more and more, and a curve of each metric is measured.

Held-out images (validation and test) are split into two halves at random. One half is the reference in place of the test split,
the other takes the place of samples, undisturbed at first and then with every disturbance at rising strength. Several random
splits give the standard error. After Heusel et al. 2017 (arXiv 1706.08500, sec. A1), who compared FID with the inception
score in this way.
"""

import copy
import io
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.errors import UserError
from genarena.evaluation.asked import Options, load_metric, needed
from genarena.evaluation.disturbing import blurred, shifted
from genarena.evaluation.evidence.base import used
from genarena.evaluation.evidence.vectors import Vectors
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import FeatureSettings
from genarena.likelihood import from_unit, to_unit
from genarena.metrics import names
from genarena.published.imported import about_images, everything, score

ERRORS = 2.0  # standard errors that a curve may fall between two strengths, and that it has to rise in all
FIDELITY, ALL = ("noise", "blur", "shift", "compression"), ("noise", "blur", "shift", "compression", "dropped classes")
EXPECTED = {  # beginning of a metric's name -> sign of its change, disturbances under which it should change
    ("fd_", "fid", "kd_", "kid"): (1, ALL),
    ("precision", "density"): (-1, FIDELITY),
    ("coverage",): (-1, ALL),
    ("recall", "vendi"): (-1, ("dropped classes",)),
    ("class_histogram_kl",): (1, ("dropped classes",)),
    ("authpct", "c_t", "nearest_neighbour_ratio"): (-1, ("copies",)),
}


@dataclass(frozen=True)
class Subject:
    """What is disturbed: a split of real images, the training images (N, C, H, W), and the number of levels."""

    split: Split
    train: Tensor
    num_levels: int
    generator: torch.Generator

    @property
    def unit(self) -> Tensor:
        return to_unit(self.split.x, self.num_levels)

    def levels(self, unit: Tensor) -> Tensor:
        return from_unit(unit, self.num_levels)


def noise(subject: Subject, strength: float) -> Tensor:
    """Gaussian noise with this standard deviation, for values in [-1, 1]."""
    unit = subject.unit
    return subject.levels(unit + strength * torch.randn(unit.shape, generator=subject.generator))


def blur(subject: Subject, strength: float) -> Tensor:
    """The 3x3 binomial filter, this many times."""
    unit = subject.unit
    for _ in range(int(strength)):
        unit = blurred(unit)
    return subject.levels(unit)


def shift(subject: Subject, strength: float) -> Tensor:
    """By this share of the side, rounded up to pixels, along both sides; each to the one or the other end at random."""
    unit = subject.unit
    moves = []
    for side in unit.shape[2:]:
        signs = 2 * torch.randint(2, (len(unit),), generator=subject.generator) - 1
        moves.append(signs * math.ceil(strength * side))
    return subject.levels(shifted(unit, *moves))


def compression(subject: Subject, strength: float) -> Tensor:
    """JPEG of quality 100 - strength."""
    scale = 255.0 / (subject.num_levels - 1)
    rows = []
    for image in (subject.split.x.float() * scale).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
        picture.save(file, "JPEG", quality=round(100 - strength))
        array = np.asarray(Image.open(file)).reshape(image.shape)
        rows.append(torch.from_numpy(array.copy()).permute(2, 0, 1))
    return (torch.stack(rows).float() / scale).round().to(subject.split.x.dtype)


def copies(subject: Subject, strength: float) -> Tensor:
    """This share of the images replaced by training images."""
    x = subject.split.x.clone()
    count = round(strength * len(x))
    x[:count] = subject.train[torch.randperm(len(subject.train), generator=subject.generator)[:count]]
    return x


def dropped_classes(subject: Subject, strength: float) -> Tensor:
    """Without this share of the classes. All strengths have equally many images: as many as are left at the largest."""
    x, y = subject.split.batch(None)
    classes = y.unique()
    left = [
        classes[: len(classes) - round(share * len(classes))] for share in (strength, max(DISTURBANCES[DROPPED][1]))
    ]
    kept, fewest = torch.isin(y, left[0]), int(torch.isin(y, left[1]).sum())
    return x[kept][:fewest]


DROPPED = "dropped classes"
Disturbance = tuple[Callable[[Subject, float], Tensor], tuple[float, ...]]
DISTURBANCES: dict[str, Disturbance] = {  # name -> function, rising strengths; 0 leaves the images as they are
    "noise": (noise, (0.1, 0.2, 0.4, 0.8)),
    "blur": (blur, (1, 2, 4, 8)),
    "shift": (shift, (0.05, 0.1, 0.2, 0.3)),
    "compression": (compression, (25, 60, 80, 95)),
    "copies": (copies, (0.25, 0.5, 0.75, 1.0)),
    DROPPED: (dropped_classes, (0.1, 0.2, 0.3, 0.5)),
}


@dataclass(frozen=True)
class Curve:
    """One metric under one disturbance. values: [repeat][strength]; strengths begin with 0."""

    metric: str
    disturbance: str
    strengths: tuple[float, ...]
    values: list[list[float]]

    @property
    def mean(self) -> list[float]:
        return [statistics.fmean(column) for column in zip(*self.values, strict=True)]

    def error(self, start: int, stop: int) -> float:
        """Standard error of the mean change from one strength to another."""
        changes = [row[stop] - row[start] for row in self.values]
        return statistics.stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else 0.0

    @property
    def expected(self) -> int:
        """Sign of the change that the metric should have; 0: none in particular."""
        for beginnings, (sign, disturbances) in EXPECTED.items():
            if self.metric.startswith(beginnings) and self.disturbance in disturbances:
                return sign
        return 0

    @property
    def verdict(self) -> str:
        """`as it should`; `not monotone`; `blind`: no change in all, or one the wrong way; `-` if nothing is expected."""
        if not self.expected:
            return "-"
        mean = [self.expected * value for value in self.mean]
        last = len(mean) - 1
        if mean[last] - mean[0] <= ERRORS * self.error(0, last):
            return "blind"
        falls = any(mean[i + 1] - mean[i] < -ERRORS * self.error(i, i + 1) for i in range(last))
        return "not monotone" if falls else "as it should"


def usual_metrics() -> list[str]:
    """The metrics of images that need no pretrained network."""
    found = []
    for name in names():
        kinds = used(needed(load_metric(name)))
        if about_images(name) and Vectors not in kinds and all(kind.network in (None, "domain") for kind in kinds):
            found.append(name)
    return found


def measured(
    data: ArenaDataModule,
    metrics: Sequence[str],
    limit: int,
    repeats: int,
    features: FeatureSettings,
    options: Options | None = None,
) -> tuple[list[Curve], dict[str, str]]:
    """The curves of all metrics under all disturbances, and metric -> reason for those without a value.

    data: set up. limit: most images in either half. options: of evidence and of metrics.
    Raises UserError for data other than labelled images of levels.
    """
    if not data.spec.is_image or not data.spec.is_discrete or data.spec.shape[0] not in (1, 3) or data.test.y is None:
        raise UserError(f"data={data.name}: disturbances are for labelled grey or RGB images of levels")
    settings, options = EvaluationSettings(features=features), dict(options or {})
    found: dict[tuple[str, str], list[list[float]]] = {}
    reasons: dict[str, str] = {}
    for repeat in range(repeats):
        reference, subject = _halves(data, limit, repeat)
        for name, (disturb, strengths) in DISTURBANCES.items():
            if name == DROPPED and data.test.y.ndim > 1:
                continue
            sets = [disturb(subject, strength) for strength in (0, *strengths)]
            rows = [score(x, reference, metrics, settings, everything(x, reference) | options) for x in sets]
            for metric in metrics:
                values = [row[metric]["value"] for row in rows]
                if None in values:
                    reasons[metric] = next(row[metric]["reason"] for row in rows if row[metric]["value"] is None)
                else:
                    found.setdefault((metric, name), []).append(values)
    curves = [Curve(metric, name, (0, *DISTURBANCES[name][1]), values) for (metric, name), values in found.items()]
    return curves, {metric: reason for metric, reason in reasons.items() if not any(metric in key for key in found)}


def _halves(data: ArenaDataModule, limit: int, repeat: int) -> tuple[ArenaDataModule, Subject]:
    """The data set with half of its held-out images as test split, and the other half. The first halves are equally large."""
    size, (val, test) = data.val.size + data.test.size, (data.val, data.test)
    order = torch.randperm(size, generator=seeded_generator(0, repeat))
    count = min(size // 2, limit)
    whole = Split(torch.cat([val.x[:], test.x[:]]), torch.cat([val.y, test.y]))
    reference = copy.copy(data)
    reference.origin, reference.test = data, whole[order[:count]]
    reference._cuts = data._cuts | {"half": repeat, "test": count}
    other = whole[order[count : 2 * count]]
    return reference, Subject(other, data.train.x[:], data.spec.num_levels, seeded_generator(1, repeat))
