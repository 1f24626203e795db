"""Inversion: the code of a real image, and the image of that code. What is lost, and is the code like a draw of N(0, I)?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Line, Outcome, Shown, Task
from genarena.tasks.editing import conditions
from genarena.tasks.editing.codes import Autoencoder, Coder, DDIMInversion, principal_components
from genarena.tasks.editing.images import picture, rmse, some
from genarena.tasks.editing.records import record


@dataclass(frozen=True)
class Invert(Task):
    """num_images: test images. steps: of the probability flow in each direction, a line each; an autoencoder has none.
    num_components: of the floor, at most a quarter of the dimensions, of `num_train` training images. seed: which images."""

    title = "Inversion"
    table = "inversion"
    kind = Coder
    algorithms: ClassVar = (Autoencoder, DDIMInversion)

    num_images: Count = 100
    num_train: Count = 2_000
    num_components: Count = 64
    steps: Sequence[Count] = (10, 50, 200)
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_repeated("steps")
        object.__setattr__(self, "steps", tuple(sorted(self.steps)))

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        conditions.check(spec.condition)

    def solve(self, model: GenerativeModel, algorithm: Coder, data: ArenaDataModule, case: str) -> Outcome:
        test = some(data, "test", self.num_images, self.seed)
        x, y = test.unit, conditions.of(model, test.y)
        train = some(data, "train", self.num_train, self.seed).unit
        ways = {"": algorithm}
        if isinstance(algorithm, DDIMInversion):
            ways = {f"{steps} steps": replace(algorithm, steps=steps) for steps in self.steps}
        lines, rows = {}, [x]
        for part, way in ways.items():
            codes = way.codes(model)
            z = codes.encode(x, y)
            rows.append(codes.decode(z, y))
            square = z.double().square().mean(1)
            lines[part] = Line(
                {
                    "round_trip": record(rmse(rows[-1], x), "round trip RMSE", False, steps=codes.nfe[0]),
                    "square": record(square, "mean square of the code (1 for N(0, I))"),
                }
            )
        components = principal_components(train, min(self.num_components, data.spec.num_dims // 4))
        back = components.decode(components.encode(x))
        floors = {"principal components": Line({"round_trip": record(rmse(back, x), "round trip RMSE", False)})}
        shown = ("original", *(part or algorithm.name for part in ways), "principal components")
        strip = torch.cat([picture(each[:COLUMNS]) for each in (*rows, back)])
        return Outcome(lines, floors, len(x), {}, {"round_trip.png": strip}, {"round_trip.png": Shown(shown)})
