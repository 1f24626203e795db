"""Restores test images with a model and with the floors, and scores them; one degradation after the other."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed
from genarena.spec import DataSpec
from genarena.statistics import image_quality
from genarena.tasks.base import COLUMNS, Outcome, Task
from genarena.tasks.floors import every as all_floors
from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.degradations import degradation, refusal
from genarena.tasks.posterior import every as posterior_samplers
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.restoring import restored, scores
from genarena.tasks.restoring.images import Images, to_8_bit
from genarena.tasks.restoring.restored import Restored


@dataclass(frozen=True)
class Restoration(Task):
    """A task that gives images back: each method gets y = A x + sigma n, and is scored against x.

    num_images, num_val: test and validation images, drawn with a fixed seed. num_draws: posterior draws per image; the mean
    of them is scored, and one of them. seed: of noise, masks and draws.
    """

    table = "restoration"
    kind = PosteriorSampler
    algorithms: ClassVar = posterior_samplers.ALGORITHMS
    floors: ClassVar[tuple[type[Floor], ...]] = all_floors.FLOORS

    num_images: Count = 200
    num_draws: Count = 8
    num_val: Count = 100
    seed: Seed = 0

    @abstractmethod
    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        """Names of degradations (`linear/degradations.py`)."""

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        if reason := next(filter(None, (refusal(case, spec.shape) for case in self.cases(spec))), ""):
            raise ValueError(reason)

    def settings(self, case: str) -> dict[str, Any]:
        fields = ("num_images", "num_draws", "num_val", "seed")
        return {"degradation": case, "sigma": degradation(case).sigma} | {name: getattr(self, name) for name in fields}

    def constants(self, spec: DataSpec, case: str) -> dict[str, Any]:
        sigma = degradation(case).sigma
        return {
            "floors": {
                floor.name: {"strengths": list(floor.strengths(floor, sigma)), **floor.settings}
                for floor in self.floors
            },
            "most_training_images": all_floors.most(spec.shape),
            "ssim": [image_quality.window_of(*spec.shape[-2:]), image_quality.STD, *image_quality.K],
            "sigma_unit": "of [0, 1]",
            "quantiser": "clamped, 8 bit",
        }

    def solve(self, model: GenerativeModel, algorithm: PosteriorSampler, data: ArenaDataModule, case: str) -> Outcome:
        spec, degraded = data.spec, degradation(case)
        test, val = Images.of(data.test, self.num_images, spec), Images.of(data.val, self.num_val, spec)
        fill = val.x.mean(0)
        sampler, chosen = restored.with_strength(algorithm, model, val, degraded, self.seed)
        own = restored.with_model(sampler, model, test, fill, degraded, self.seed, self.num_draws)
        made, papers = {}, {}
        operator = test.observed(degraded, self.seed).operator
        for floor in all_floors.of_data(data, self.floors):
            if floor.fits(operator, degraded.sigma):
                made[floor.name] = restored.with_floor(floor, test, val, degraded, self.seed, self.num_draws)
                papers[floor.name] = floor.paper
        each = {name: scores.of_lines(found, test) for name, found in made.items()}
        lines = {name: scores.line(found, own) for name, found in scores.of_lines(own, test).items()}
        for name, found in scores.of_lines(own, test).items():
            for key, record in lines[name].metrics.items():
                record["margin"] = scores.margin(
                    found[key], {each_name: each[each_name]["mean"][key] for each_name in made}
                )
        floors = {
            name if part == "mean" else f"{name}, {part}": scores.line(found, made[name], papers[name])
            for name, parts in each.items()
            for part, found in parts.items()
        }
        rows = {"fill": made["fill"]} | {algorithm.name: own} | made
        return Outcome(lines, floors, len(test.x), own.facts | chosen, pictures(test, rows), ("original", *rows))


def pictures(test: Images, made: Mapping[str, Restored]) -> dict[str, Tensor]:
    """A row of images per method, the originals above: uint8 (rows * COLUMNS, C, H, W)."""
    num = min(COLUMNS, len(test.x))
    rows = torch.stack([test.x[:num], *(each.mean[:num] for each in made.values())])
    return {"restored.png": (to_8_bit(rows.flatten(0, 1)) * 255).round().to(torch.uint8)}


def checked_sigma(sigma: Sequence[float]) -> tuple[float, ...]:
    """Sorted noise levels. Raises ValueError."""
    for value in sigma:
        if not 0.0 < value <= 1.0:
            raise ValueError(f"sigma={value}: expected numbers above 0, at most 1, in units of [0, 1]")
    if not sigma or len(set(sigma)) < len(sigma):
        raise ValueError(f"sigma={list(sigma)}: expected different numbers, at least one")
    return tuple(sorted(map(float, sigma)))
