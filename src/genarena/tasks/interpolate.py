"""Interpolation: from one real image to another through the codes of a model. Are the images in between like real ones?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Line, Outcome, Task
from genarena.tasks.editing import paths
from genarena.tasks.editing.codes import Autoencoder, Coder, Codes, DDIMInversion, pixels
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.images import nearest, picture, rmse, some
from genarena.tasks.editing.paths import WAYS, Way
from genarena.tasks.editing.records import missing, record

SHOWN = 5  # pairs in a picture
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

    num_pairs: Count = 100
    num_train: Count = 10_000
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_pairs < 2:
            raise ValueError(f"num_pairs={self.num_pairs}: expected at least 2")

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        return {"epsilon": paths.EPSILON, "places": paths.PLACES, "classifiers": recipe_hash()}

    def solve(self, model: GenerativeModel, algorithm: Coder, data: ArenaDataModule, case: str) -> Outcome:
        codes, domain = algorithm.codes(model), Domain(data)
        chosen = some(data, "test", 2 * self.num_pairs, self.seed).unit
        num = len(chosen) // 2
        ends = chosen[:num], chosen[num : 2 * num]
        train = some(data, "train", self.num_train, self.seed).unit
        own, blend = tuple(map(codes.encode, ends)), pixels(data.spec.shape)
        back = torch.cat([rmse(codes.decode(code), x) for code, x in zip(own, ends, strict=True)])
        lines, pictures = {}, {}
        for name, way in WAYS.items():
            lines[name] = path_line(domain, codes, way, own)
            lines[name].metrics["round_trip"] = record(back, TITLES["round_trip"], False)
            pictures |= _pictures(name, lambda t, way=way: codes.decode(way(*_first(own), t)))
        flat = tuple(x.flatten(1) for x in ends)
        floors = {"pixel blend": path_line(domain, blend, paths.lerp, flat)}
        floors["nearest neighbour"] = neighbour_line(domain, torch.lerp(*ends, 0.5), train)
        floors["real images"] = real_line(domain, train[:num])
        pictures |= _pictures("pixels", lambda t: torch.lerp(*_first(ends), t))
        pictures |= _pictures("neighbours", lambda t: train[nearest(torch.lerp(*_first(ends), t), train)])
        facts = {"nfe": list(codes.nfe), **domain.facts}
        return Outcome(lines, floors, 2 * num, facts, pictures, (f"{SHOWN} pairs, from one image to the other",))


def path_line(domain: Domain, codes: Codes, way: Way, ends: tuple[Tensor, Tensor]) -> Line:
    """Metrics of the paths between codes (N, D)."""
    metrics = midpoint(domain, codes.decode(way(*ends, 0.5)))
    if not codes.is_smooth:
        reason = "images are levels, which a small move does not change"
        return Line(metrics | {name: missing(TITLES[name], reason, False) for name in ("length", "unevenness")})
    found = paths.speeds(lambda z: domain.features(codes.decode(z)), way, *ends)
    metrics["length"] = record(found.mean(0) / domain.typical, TITLES["length"], False)
    metrics["unevenness"] = record(found.amax(0) / found.mean(0).clamp_min(1e-12), TITLES["unevenness"], False)
    return Line(metrics)


def neighbour_line(domain: Domain, middle: Tensor, train: Tensor) -> Line:
    """The training images nearest to the mean of the two images."""
    reason = "images jump from one to the next"
    absent = {name: missing(TITLES[name], reason, False) for name in ("length", "unevenness")}
    return Line(midpoint(domain, train[nearest(middle, train)]) | absent)


def real_line(domain: Domain, unit: Tensor) -> Line:
    """As many real images: what the distance is at this number of images."""
    return Line(midpoint(domain, unit))


def midpoint(domain: Domain, unit: Tensor) -> dict[str, dict[str, Any]]:
    seen = domain.features(unit)
    metrics = {"fd_domain": domain.distance(seen) | {"title": TITLES["fd_domain"]}}
    if domain.has_classes:
        metrics["confidence"] = record(domain.probabilities(seen).amax(1), TITLES["confidence"], True)
    return metrics


def _first(ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return ends[0][:COLUMNS], ends[1][:COLUMNS]


def _pictures(name: str, at: Callable[[float], Tensor]) -> dict[str, Tensor]:
    """A strip of a few pairs, and a moving picture of more, forth and back. at: time in [0, 1] to images (N, C, H, W)."""
    frames = torch.stack([picture(at(k / (COLUMNS - 1))) for k in range(COLUMNS)])
    strip = frames[:, :SHOWN].transpose(0, 1).flatten(0, 1)
    return {f"{name}.png": strip, f"{name}.gif": torch.cat([frames, frames[1:-1].flip(0)])}
