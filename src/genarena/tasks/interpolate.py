"""Interpolation: from one real image to another through the codes of a model. Are the images in between like real ones?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed, Several
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Line, Outcome, Shown, Task
from genarena.tasks.editing import conditions, paths
from genarena.tasks.editing.codes import Autoencoder, Coder, Codes, DDIMInversion
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.images import nearest, picture, rmse, some
from genarena.tasks.editing.paths import WAYS, Way
from genarena.tasks.editing.records import missing, record

Ends = tuple[Tensor | None, Tensor | None]  # of the paths: images, codes, or conditions
SHOWN = 5  # pairs in a picture
TEXTS = {".png": "a pair of test images per row, from the first to the second", ".gif": "ten pairs, there and back"}
TITLES = {
    "fd_domain": "FD domain, midpoint",
    "confidence": "classifier confidence, midpoint",
    "length": "path length / distance of two test images",
    "unevenness": "largest / mean step",
    "round_trip": "round trip RMSE",
}


@dataclass(frozen=True)
class Interpolate(Task):
    """num_pairs: of test images. seed: which ones. num_train: training images among which the nearest neighbours are."""

    title = "Interpolation"
    table = "interpolation"
    kind = Coder
    algorithms: ClassVar = (Autoencoder, DDIMInversion)

    num_pairs: Several = 100
    num_train: Count = 10_000
    seed: Seed = 0

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        conditions.check(spec.condition)

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {"epsilon": paths.EPSILON, "places": paths.PLACES, "classifiers": recipe_hash()}

    def solve(self, model: GenerativeModel, algorithm: Coder, data: ArenaDataModule, case: str) -> Outcome:
        codes, domain = algorithm.codes(model), Domain(data)
        chosen = some(data, "test", 2 * self.num_pairs, self.seed)
        num = len(chosen.unit) // 2
        ends = chosen.unit[:num], chosen.unit[num : 2 * num]
        y = conditions.of(model, chosen.y)
        given = (None, None) if y is None else (y[:num], y[num : 2 * num])
        train = some(data, "train", self.num_train, self.seed).unit
        own = tuple(map(codes.encode, ends, given))
        back = torch.cat([rmse(codes.decode(*code), x) for *code, x in zip(own, given, ends, strict=True)])
        lines, pictures = {}, {}
        for name, way in WAYS.items():
            lines[name] = path_line(domain, partial(travel, codes, way, own, given), codes.is_smooth)
            lines[name].metrics["round_trip"] = record(back, TITLES["round_trip"], False)
            pictures |= _pictures(name, partial(travel, codes, way, _first(own), _first(given)))
        floors = {"pixel blend": path_line(domain, lambda t: torch.lerp(*ends, t))}
        floors["nearest neighbour"] = neighbour_line(domain, torch.lerp(*ends, 0.5), train)
        floors["real images"] = real_line(domain, train[:num])
        pictures |= _pictures("pixels", lambda t: torch.lerp(*_first(ends), t))
        pictures |= _pictures("neighbours", lambda t: train[nearest(torch.lerp(*_first(ends), t), train)])
        facts = {"nfe": list(codes.nfe), **domain.facts}
        shown = {name: Shown(text=TEXTS[name[-4:]], is_floor=name.partition(".")[0] not in WAYS) for name in pictures}
        return Outcome(lines, floors, 2 * num, facts, pictures, shown)


def travel(codes: Codes, way: Way, ends: Ends, given: Ends, t: float) -> Tensor:
    """Images (N, C, H, W) at time t on the ways between codes (N, D), and between their conditions."""
    return codes.decode(way(*ends, t), conditions.between(*given, t))


def path_line(domain: Domain, at: Callable[[float], Tensor], is_smooth: bool = True) -> Line:
    """Metrics of paths. at: a time in [0, 1] to images (N, C, H, W)."""
    metrics = midpoint(domain, at(0.5))
    if not is_smooth:
        reason = "images are levels, which a small move does not change"
        return Line(metrics | {name: missing(TITLES[name], reason, False) for name in ("length", "unevenness")})
    found = paths.speeds(lambda t: domain.features(at(t)))
    metrics["length"] = record(found.mean(0) / domain.typical, TITLES["length"], False, counted="pairs")
    uneven = found.amax(0) / found.mean(0).clamp_min(1e-12)
    metrics["unevenness"] = record(uneven, TITLES["unevenness"], False, counted="pairs")
    return Line(metrics)


def neighbour_line(domain: Domain, middle: Tensor, train: Tensor) -> Line:
    """The training images nearest to the mean of the two images."""
    reason = "images jump from one to the next"
    absent = {name: missing(TITLES[name], reason, False) for name in ("length", "unevenness")}
    return Line(midpoint(domain, train[nearest(middle, train)]) | absent)


def real_line(domain: Domain, unit: Tensor) -> Line:
    """As many real images: what the distance is at this number of images."""
    return Line(midpoint(domain, unit), is_real=True)


def midpoint(domain: Domain, unit: Tensor) -> dict[str, dict[str, Any]]:
    seen = domain.features(unit)
    metrics = {"fd_domain": domain.distance(seen) | {"title": TITLES["fd_domain"]}}
    if domain.has_classes:
        metrics["confidence"] = record(domain.probabilities(seen).amax(1), TITLES["confidence"], True)
    return metrics


def _first(ends: Ends) -> Ends:
    return tuple(None if each is None else each[:COLUMNS] for each in ends)


def _pictures(name: str, at: Callable[[float], Tensor]) -> dict[str, Tensor]:
    """A strip of a few pairs, and a moving picture of more, forth and back. at: time in [0, 1] to images (N, C, H, W)."""
    frames = torch.stack([picture(at(k / (COLUMNS - 1))) for k in range(COLUMNS)])
    strip = frames[:, :SHOWN].transpose(0, 1).flatten(0, 1)
    return {f"{name}.png": strip, f"{name}.gif": torch.cat([frames, frames[1:-1].flip(0)])}
