"""Editing: real images are moved along the direction of an attribute in the codes of a model.

Does the attribute change, does anything else, and is it still the same image? A measure or a classifier that knows nothing of
the model says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Line, Outcome, Shown, Task
from genarena.tasks.editing import attributes, conditions, edited
from genarena.tasks.editing.codes import (
    Autoencoder,
    Coder,
    Codes,
    DDIMInversion,
    pixels,
    principal_components,
    standardised,
)
from genarena.tasks.editing.directions import DIRECTIONS, mean_difference, without
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.edited import STRENGTHS, Judge
from genarena.tasks.editing.edited import Edit as Editor
from genarena.tasks.editing.images import Images, nearest, picture, some

SHOWN = 5  # images in a picture
TEXTS = {
    ".png": f"a test image per row, from strength {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}",
    ".gif": "ten test images, there and back",
}
COMPONENTS = 64  # of the floor, at most a quarter of the dimensions
MOST_PROJECTED = 2


@dataclass(frozen=True)
class Edit(Task):
    """attribute: names, a case each: class_<label>, an attribute of CelebA such as Smiling, a factor of sprites (scale, x, y),
    or what is measured in grey images (thickness, slant, width). project: at most 2 others, whose directions are taken out.
    num_train: codes of training images from which the directions are learned. num_images: test images. seed: which images.
    """

    title = "Editing"
    table = "editing"
    kind = Coder
    algorithms: ClassVar = (Autoencoder, DDIMInversion)

    attribute: Sequence[str] = ("thickness",)
    project: Sequence[str] = ()
    num_train: Count = 2_000
    num_images: Count = 200
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_repeated("attribute")
        self.refuse_repeated("project", 0)
        if len(self.project) > MOST_PROJECTED or set(self.project) & set(self.attribute):
            raise ValueError(f"project={list(self.project)}: expected at most {MOST_PROJECTED} other attributes")

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        conditions.check(spec.condition)

    def examine(self, data: Mapping[str, Any]) -> None:
        attributes.check(self.attribute, data, "attribute")
        attributes.check(self.project, data, "project")

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(self.attribute)

    def settings(self, case: str) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("algorithm", "attribute")}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        found = {"strengths": list(STRENGTHS), "scored": edited.SCORED, "components": COMPONENTS}
        return found | {"classifiers": recipe_hash()}

    def solve(self, model: GenerativeModel, algorithm: Coder, data: ArenaDataModule, case: str) -> Outcome:
        domain = Domain(data)
        train, test = (some(data, split, num, self.seed) for split, num in self._sizes())
        has = attributes.present(case, data, train, "train")
        if min(int(has.sum()), int((~has).sum())) < 2:
            raise ValueError(f"attribute={case}: {int(has.sum())} of {len(has)} training images have it")
        y, condition = conditions.of(model, test.y), model.spec.condition
        codes, learned_from = standardised(algorithm.codes(model), train.unit, conditions.of(model, train.y))
        z = codes.encode(test.unit, y)
        ways = self._directions(learned_from, data, train, has)
        moved = {name: mover(codes, z, *way, y) for name, way in ways.items()}
        if (place := conditions.place(case, condition)) is not None:
            moved["condition"] = switcher(codes, z, y, partial(conditions.with_attribute, y, condition, place))
        plain = {"pixels": pixels(data.spec.shape)}
        plain["principal components"] = principal_components(train.unit, min(COMPONENTS, data.spec.num_dims // 4))
        others: dict[str, Editor] = {}
        for name, space in plain.items():
            learned = space.encode(train.unit)
            direction = mean_difference(learned, has)
            others[name] = mover(space, space.encode(test.unit), direction, (learned.double() @ direction).std())
        others["nearest image"] = blender(test.unit, train.unit[has], train.unit[~has])
        judge = Judge(data, domain, case, test.unit)
        lines = {name: judge.line(edit) for name, edit in moved.items()}
        floors = {name: judge.line(edit) for name, edit in others.items()}
        for name, real in (("unedited", test.unit), ("real images", train.unit[: len(test.unit)])):
            floors[name] = Line({"fd_domain": domain.distance(domain.features(real))}, is_real=True)
        pictures, shown = {}, {}
        for name, edit in (moved | others).items():
            made = strips(name, edit, judge)
            pictures |= made
            shown |= {file: Shown(text=TEXTS[file[-4:]], is_floor=name in others) for file in made}
        facts = {"nfe": list(codes.nfe), "train": len(has), "with_attribute": int(has.sum()), **domain.facts}
        return Outcome(lines, floors, len(test.unit), facts, pictures, shown)

    def _sizes(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return ("train", self.num_train), ("test", self.num_images)

    def _directions(
        self, z: Tensor, data: ArenaDataModule, train: Images, has: Tensor
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """By name: the direction, and the standard deviation of codes z (N, D) along it."""
        out = [attributes.present(name, data, train, "train") for name in self.project]
        found = {}
        for name, learn in DIRECTIONS.items():
            direction = without(learn(z, has), [learn(z, each) for each in out])
            found[name] = direction, (z.double() @ direction).std()
        return found


def mover(codes: Codes, z: Tensor, direction: Tensor, spread: Tensor, y: Tensor | None = None) -> Editor:
    """Moves the codes z (N, D) of the test images by strength x `spread` along a direction (D,). y: their conditions, kept."""

    def edit(num: int, strength: float) -> Tensor:
        return codes.decode(z[:num] + (strength * spread * direction).float(), None if y is None else y[:num])

    return edit


def switcher(codes: Codes, z: Tensor, y: Tensor, changed: Callable[[bool], Tensor]) -> Editor:
    """Keeps the codes z (N, D), and changes their conditions y (N, size): at the largest strength the image has the attribute,
    at the smallest it does not. changed: the conditions with it, and without it."""

    def edit(num: int, strength: float) -> Tensor:
        return codes.decode(z[:num], torch.lerp(y, changed(strength > 0), abs(strength) / STRENGTHS[-1])[:num])

    return edit


def blender(x: Tensor, having: Tensor, lacking: Tensor) -> Editor:
    """Blends test images with the nearest training image that has the attribute, or for negative strengths lacks it."""

    def edit(num: int, strength: float) -> Tensor:
        among = having if strength > 0 else lacking
        return torch.lerp(x[:num], among[nearest(x[:num], among)], abs(strength) / STRENGTHS[-1])

    return edit


def strips(name: str, edit: Editor, judge: Judge) -> dict[str, Tensor]:
    """A strip of a few images under all strengths, and a moving picture of more, forth and back."""
    low, high = STRENGTHS[0], STRENGTHS[-1]
    strengths = [low + (high - low) * k / (COLUMNS - 1) for k in range(COLUMNS)]
    frames = torch.stack([picture(judge.rounded(edit(COLUMNS, strength))) for strength in strengths])
    name = name.replace(" ", "_")
    moving = torch.cat([frames, frames[1:-1].flip(0)])
    return {f"{name}.png": frames[:, :SHOWN].transpose(0, 1).flatten(0, 1), f"{name}.gif": moving}
