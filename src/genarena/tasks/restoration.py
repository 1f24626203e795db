"""Restores test images with a model and with the floors, and scores them; one degradation after the other."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.classifier import recipe_hash
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Folder, Seed
from genarena.spec import DataSpec
from genarena.statistics import image_quality
from genarena.tasks.base import Line, Outcome, Shown, Task
from genarena.tasks.floors import every as all_floors
from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.degradations import degradation, refusal
from genarena.tasks.posterior import every as posterior_samplers
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.restoring import restored
from genarena.tasks.restoring.calibration import LEVEL
from genarena.tasks.restoring.fitting import first_fitting
from genarena.tasks.restoring.gallery import gallery
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.perceptual import Perceptual
from genarena.tasks.restoring.realism import Realism
from genarena.tasks.restoring.restored import Restored
from genarena.tasks.restoring.scored import Scored, kept
from genarena.tasks.restoring.scores import TRUTH, Judge
from genarena.tasks.task_run import rules


@dataclass(frozen=True)
class Restoration(Task):
    """A task that gives images back: each method gets y = A x + sigma n, and is scored against x.

    num_images, num_val: test and validation images, drawn with a fixed seed. num_draws: posterior draws per image; the mean
    of them is scored, and one of them; scores of a distribution need two. seed: of noise, masks and draws. lpips_alex,
    lpips_vgg: files of weights of torchvision's alexnet and vgg16, for LPIPS; null: it is not measured.
    """

    title = "Restoration"
    table = "restoration"
    kind = PosteriorSampler
    algorithms: ClassVar = posterior_samplers.ALGORITHMS
    floors: ClassVar[tuple[type[Floor], ...]] = all_floors.FLOORS

    num_images: Count = 200
    num_draws: Count = 8
    num_val: Count = 100
    seed: Seed = 0
    lpips_alex: Folder | None = None
    lpips_vgg: Folder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.perceptual()

    def perceptual(self) -> Perceptual:
        """LPIPS of the files that are named. Raises ValueError for one that is not there."""
        given = {"alex": self.lpips_alex, "vgg": self.lpips_vgg}
        return Perceptual({name: path for name, path in given.items() if path is not None})

    @abstractmethod
    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        """Names of degradations (`linear/degradations.py`)."""

    def check(self, spec: DataSpec) -> None:
        super().check(spec)
        if reason := next(filter(None, (refusal(case, spec.shape) for case in self.cases(spec))), ""):
            raise ValueError(reason)
        self.perceptual().check(spec.shape)

    def settings(self, case: str) -> dict[str, Any]:
        fields = ("num_images", "num_draws", "num_val", "seed")
        found = {"degradation": case, "sigma": degradation(case).sigma} | {name: getattr(self, name) for name in fields}
        return found | ({"lpips": self.perceptual().digests} if self.perceptual().networks else {})

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
            "coverage": LEVEL,
            "domain_classifiers": recipe_hash(),
        }

    def algorithm_for(self, model: GenerativeModel, case: str = "") -> PosteriorSampler:
        """The first that fits the model, and takes the case, if one is named. Raises ValueError."""
        if not case:
            return super().algorithm_for(model)
        degraded = degradation(case)
        operator = degraded.operator(model.spec.shape, [b""], self.seed)
        return first_fitting(self.fitting(model), case, operator, degraded.sigma)

    def fitting(self, model: GenerativeModel) -> list[PosteriorSampler]:
        """The algorithm that is named, or all that fit the model, in order. Raises ValueError if none does."""
        first = super().algorithm_for(model)
        return [first] if self.algorithm else [each for each in self.asked if each.fits(type(model))]

    def solve(self, model: GenerativeModel, algorithm: PosteriorSampler, data: ArenaDataModule, case: str) -> Outcome:
        spec, degraded = data.spec, degradation(case)
        test, val = Images.of(data.test, self.num_images, spec), Images.of(data.val, self.num_val, spec)
        problem = test.observed(degraded, self.seed)
        sampler, chosen = restored.with_strength(algorithm, model, val, degraded, self.seed)
        own = restored.with_model(sampler, model, test, val.x.mean(0), degraded, self.seed, self.num_draws)
        judge = Judge(test, problem, Realism.of(data, test), self.perceptual())

        def floors() -> dict[str, Scored]:
            fitting = [
                each for each in all_floors.of_data(data, self.floors) if each.fits(problem.operator, problem.sigma)
            ]
            made = [restored.with_floor(each, test, val, degraded, self.seed, self.num_draws) for each in fitting]
            pairs = zip(fitting, made, strict=True)
            return {floor.name: Scored.of(floor.paper, judge.scores(each), each) for floor, each in pairs}

        judged = f"{rules(self, case, spec)['id']}-{judge.realism.weights}"
        by_name = kept(data.facts["id"], judged, floors)
        pictures, rows = gallery(test, problem, own, algorithm.name, *_best(by_name))
        shown = {name: Shown(tuple(rows)) for name in pictures}
        return Outcome(*_lines(judge, own, by_name), len(test.x), own.facts | chosen, pictures, shown)


def _best(floors: Mapping[str, Scored]) -> tuple[str, Tensor]:
    """The name of the floor with the highest PSNR, and its first estimates."""
    best = max(floors, key=lambda name: floors[name].scores["mean"]["psnr"].by_image.mean().item())
    return best, floors[best].shown


def _lines(judge: Judge, own: Restored, floors: Mapping[str, Scored]) -> tuple[dict[str, Line], dict[str, Line]]:
    """Lines of the model, and of the floors: a part of a floor other than the mean is named. Margins are over floors of the
    same part."""
    lines = {
        part: judge.line(found, "", {name: each.scores[part] for name, each in floors.items() if part in each.scores})
        for part, found in judge.scores(own).items()
    }
    others = {
        name if part == "mean" else f"{name}, {part}": judge.line(found, floor.paper)
        for name, floor in floors.items()
        for part, found in floor.scores.items()
    }
    truth = judge.of_truth()
    return lines, others | ({TRUTH: truth} if truth else {})


def checked_sigma(sigma: Sequence[float]) -> tuple[float, ...]:
    """Sorted noise levels. Raises ValueError."""
    for value in sigma:
        if not 0.0 < value <= 1.0:
            raise ValueError(f"sigma={value}: expected numbers above 0, at most 1, in units of [0, 1]")
    if not sigma or len(set(sigma)) < len(sigma):
        raise ValueError(f"sigma={list(sigma)}: expected different numbers, at least one")
    return tuple(sorted(map(float, sigma)))
