"""Images from guides (SDEdit): from rough to real. The more noise, the more real, and the less like the guide.

Guides are blocks of colour (`blocks`), strokes of a broad brush (`strokes`), real images (`image`), which a conditional model
turns into another class, or a user's own picture. Style: a guide of one kind of images on a model of another kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.errors import counted
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Folder, Seed
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Line, Outcome, Shown, Task
from genarena.tasks.editing import conditions, guides, strokes
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.images import nearest, picture, rmse, some
from genarena.tasks.editing.noising import EncodeNoiseDecode, Noising, SDEdit
from genarena.tasks.editing.records import missing, record
from genarena.tasks.noise import Noise

ROWS = 64  # images at once
FEWEST = 100  # images of a Frechet distance


@dataclass(frozen=True)
class Guided:
    """x: guides (N, C, H, W) in [-1, 1]. wanted: the class that an image should have (N,), or None. y: conditions, or None."""

    x: Tensor
    wanted: Tensor | None
    y: Tensor | None


@dataclass(frozen=True)
class Sdedit(Task):
    """guide: a picture file; null: `guides`, a case each, made of test images. t0: how much noise, a line each. num_images:
    test images. num_train: training images among which the nearest is looked for. seed: of images and noise."""

    title = "Images from guides"
    table = "sdedit"
    kind = Noising
    algorithms: ClassVar = (SDEdit, EncodeNoiseDecode)

    guide: Folder | None = None
    guides: Sequence[Literal["blocks", "strokes", "image"]] = ("blocks", "strokes", "image")
    t0: Sequence[float] = (0.3, 0.5, 0.7)
    num_images: Count = 200
    num_train: Count = 10_000
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for t in self.t0:
            if not 0.0 < t <= 1.0:
                raise ValueError(f"t0={t}: expected numbers above 0, at most 1")
        for option in ("t0", "guides"):
            self.refuse_repeated(option)
        object.__setattr__(self, "t0", tuple(sorted(map(float, self.t0))))

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        conditions.check(spec.condition)

    def examine(self, data: Mapping[str, Any]) -> None:
        if self.guide:
            guides.check(self.guide, data["spec"]["shape"][0])

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return ("picture",) if self.guide else tuple(self.guides)

    def settings(self, case: str) -> dict[str, Any]:
        own = {"t0": list(self.t0), "num_images": self.num_images, "num_train": self.num_train, "seed": self.seed}
        return own | ({"picture": guides.digest(self.guide)} if self.guide else {})

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        found = {"block": guides.BLOCK, "fewest": FEWEST, "classifiers": recipe_hash()}
        brush = {"strokes": [strokes.STROKES, strokes.TOUCHES, strokes.BRUSH, strokes.TREMBLE]}
        return found | (brush if case == "strokes" else {})

    def solve(self, model: GenerativeModel, algorithm: Noising, data: ArenaDataModule, case: str) -> Outcome:
        domain, given = Domain(data), self._guided(model, data, case)
        train = some(data, "train", self.num_train, self.seed).unit
        made = {f"t0 = {t:g}": self._drawn(model, algorithm, given, t) for t in self.t0}
        lines = {name: line(domain, x, given) for name, x in made.items()}
        others = {"guide": given.x, "nearest image": train[nearest(given.x, train)]}
        floors = {name: line(domain, x, given) for name, x in others.items()}
        floors["guide"].metrics["to_guide"] = missing("RMSE to guide", "the guides themselves", False)
        floors["real images"] = Line({"fd_domain": distance(domain, train[: len(given.x)])}, is_real=True)
        rows = {"guide": given.x, **made, "nearest image": others["nearest image"]}
        strips = {name: picture(x[:COLUMNS]) for name, x in rows.items()}
        moving = torch.stack([*(strips[name] for name in ("guide", *made))])
        pictures = {"guided.png": torch.cat(list(strips.values())), "guided.gif": moving}
        facts = {"nfe": algorithm.evaluations(), **domain.facts}
        shown = {"guided.png": Shown(tuple(rows)), "guided.gif": Shown(text="from the guide to the largest t0")}
        return Outcome(lines, floors, len(given.x), facts, pictures, shown)

    def _guided(self, model: GenerativeModel, data: ArenaDataModule, case: str) -> Guided:
        """The guides of a case, what is wanted of each, and the model's conditions."""
        condition = model.spec.condition
        if self.guide:
            own = guides.read(self.guide, data.spec.shape).repeat(COLUMNS, 1, 1, 1)
            return Guided(own, None, None if condition is None else condition.in_turn(COLUMNS))
        test = some(data, "test", self.num_images, self.seed)
        wanted = test.y if test.y is not None and test.y.dim() == 1 else None
        if condition is not None and condition.kind == "label" and case == "image":
            wanted = (wanted + 1 + torch.arange(len(wanted)) % (data.spec.num_classes - 1)) % data.spec.num_classes
        x = {"blocks": guides.blocks, "strokes": partial(strokes.strokes, seed=self.seed)}.get(case, torch.clone)
        given = test.y if condition is not None and condition.kind == "attributes" else wanted
        return Guided(x(test.unit), wanted, None if condition is None else given)

    @torch.no_grad()
    def _drawn(self, model: GenerativeModel, algorithm: Noising, given: Guided, t: float) -> Tensor:
        """Each image's noise depends on its place alone, and is the same for every t."""
        noise, parts = Noise.of([(self.seed, "sdedit", place) for place in range(len(given.x))]), []
        for first in range(0, len(given.x), ROWS):
            lanes = slice(first, first + ROWS)
            y = None if given.y is None else given.y[lanes].to(model.device)
            parts.append(
                algorithm.draw(model, given.x[lanes].to(model.device), t, noise[lanes].normal, y).cpu().float()
            )
        return torch.cat(parts)


def line(domain: Domain, x: Tensor, given: Guided) -> Line:
    """Metrics of images (N, C, H, W) in [-1, 1] made from guides."""
    metrics = {
        "fd_domain": distance(domain, x),
        "to_guide": record(rmse(x.nan_to_num(0.0), given.x), "RMSE to guide", False),
    }
    metrics["not_finite"] = {
        "value": float((~x.flatten(1).isfinite().all(1)).sum()),
        "title": "not finite",
        "n": len(x),
    }
    if given.wanted is not None and domain.has_classes:
        found = domain.probabilities(domain.features(x.nan_to_num(0.0))).argmax(1) == given.wanted
        metrics["agreement"] = record(found.double(), "has the class wanted", True)
    return Line(metrics)


def distance(domain: Domain, x: Tensor) -> dict[str, Any]:
    """The Frechet distance to the test images, where there are enough images; what is not finite is grey."""
    if len(x) < FEWEST:
        return missing("FD domain", f"{counted(len(x), 'image')}: too few, {FEWEST} are needed", False)
    return domain.distance(domain.features(x.nan_to_num(0.0)))
