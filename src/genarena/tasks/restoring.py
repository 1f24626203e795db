"""Restores test images with a model and with the classical methods, and scores them.

Restorations are clamped and rounded to 8 bit before they are scored. One that is not finite is counted, and scored as if it
were the mean of the validation images: never dropped.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.models.base import GenerativeModel
from genarena.options.values import Count, Seed
from genarena.spec import DataSpec
from genarena.statistics import image_quality
from genarena.statistics.intervals import t_quantile
from genarena.tasks import operators
from genarena.tasks.base import COLUMNS, Algorithm, Outcome, Record, Task

BATCH = 100  # images at once


@dataclass(frozen=True)
class Classical:
    """A method without training. restore: (y, sigma, strength) to x; strengths: to choose from, for this sigma."""

    name: str
    restore: Callable[[Tensor, float, float], Tensor]
    strengths: Callable[[float], Sequence[float]] = lambda sigma: (0.0,)
    paper: str = ""


@dataclass(frozen=True)
class Restoration(Task):
    """A task that gives images back: each method gets noisy images y, and is scored against the originals.

    An algorithm's `apply` takes (model, y (N, C, H, W), sigma, condition of each image or None), and gives x (N, C, H, W), not
    clamped; in [0, 1].

    sigma: standard deviations of the noise, in units of [0, 1]. num_images, num_val: test and validation images, drawn with
    a fixed seed. seed: of the noise.
    """

    classical: ClassVar[tuple[Classical, ...]]

    sigma: Sequence[float] = (0.1, 0.25)
    num_images: Count = 200
    num_val: Count = 100
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for value in self.sigma:
            if not 0.0 < value <= 10.0:
                raise ValueError(f"task.sigma={value}: expected numbers above 0, at most 10")
        if not self.sigma or len(set(self.sigma)) < len(self.sigma):
            raise ValueError(f"task.sigma={list(self.sigma)}: expected different numbers, at least one")
        object.__setattr__(self, "sigma", tuple(sorted(map(float, self.sigma))))

    def constants(self, spec: DataSpec) -> dict[str, Any]:
        return {
            "classical": {
                method.name: [list(method.strengths(sigma)) for sigma in self.sigma] for method in self.classical
            },
            "ssim": [image_quality.window_of(*spec.shape[-2:]), image_quality.STD, *image_quality.K],
            "quantiser": "clamped, 8 bit",
        }

    def solve(self, model: GenerativeModel, algorithm: Algorithm, data: ArenaDataModule) -> Outcome:
        test, val = splits(self, data)
        made = {method.name: with_classical(self, method, test, val) for method in self.classical}
        made[algorithm.name] = with_model(self, algorithm, model, test, val)
        metrics = {name: scores(restored, test.x) for name, restored in made.items()}
        each = {name: values(restored, test.x) for name, restored in made.items()}
        own = metrics.pop(algorithm.name)
        for key, record in own.items():
            record["margin"] = margin(each[algorithm.name][key], {name: each[name][key] for name in metrics})
        papers = {method.name: method.paper for method in self.classical}
        classical = {name: {"paper": papers[name], "metrics": records} for name, records in metrics.items()}
        return Outcome(own, classical, len(test.x), pictures(test, made), ("original", *made))


@dataclass(frozen=True)
class Images:
    """x (N, C, H, W) and standard normal noise, float64; condition: of each image, or None."""

    x: Tensor
    noise: Tensor
    condition: Tensor | None = None

    @classmethod
    def of(cls, split: Split, limit: int, seed: int, num_levels: int, conditional: bool) -> "Images":
        """At most `limit` images of a split, drawn with a fixed seed: the first ones of a file may be easier."""
        chosen = split[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]]
        x, noise = operators.to_image(chosen.x, num_levels), operators.noise(chosen.x, seed)
        return cls(x, noise, chosen.y if conditional else None)

    def noisy(self, sigma: float) -> Tensor:
        return self.x + sigma * self.noise


@dataclass
class Restored:
    """What one method made of the test images, by sigma. strengths: of a classical method, chosen on validation images."""

    images: dict[float, Tensor] = field(default_factory=dict)
    failures: dict[float, int] = field(default_factory=dict)
    strengths: dict[float, float] = field(default_factory=dict)
    seconds: dict[float, float] = field(default_factory=dict)  # per image

    def keep(self, sigma: float, x: Tensor, fill: Tensor, seconds: float) -> None:
        broken = ~x.isfinite().flatten(1).all(1)
        x = torch.where(broken.view(-1, 1, 1, 1), fill, x)
        self.images[sigma], self.failures[sigma] = operators.to_8_bit(x), int(broken.sum())
        self.seconds[sigma] = seconds / len(x)


def splits(task: Restoration, data: ArenaDataModule) -> tuple[Images, Images]:
    """Test and validation images."""
    settings = task.seed, data.spec.num_levels, data.spec.condition is not None
    return Images.of(data.test, task.num_images, *settings), Images.of(data.val, task.num_val, *settings)


def with_model(task: Restoration, algorithm: Algorithm, model: GenerativeModel, test: Images, val: Images) -> Restored:
    """Raises ValueError if the algorithm cannot handle a noise level."""
    made, fill = Restored(), val.x.mean(0)
    for sigma in task.sigma:
        started, parts = time.perf_counter(), []
        conditions = [None] * len(test.x) if test.condition is None else test.condition.split(BATCH)
        for y, condition in zip(test.noisy(sigma).split(BATCH), conditions, strict=False):
            here = None if condition is None else condition.to(model.device)
            with torch.no_grad():
                parts.append(algorithm.apply(model, y.to(model.device), sigma, here).double().cpu())
        made.keep(sigma, torch.cat(parts), fill, time.perf_counter() - started)
    return made


def with_classical(task: Restoration, method: Classical, test: Images, val: Images) -> Restored:
    made, fill = Restored(), val.x.mean(0)
    for sigma in task.sigma:
        errors = {
            strength: _error(method.restore(val.noisy(sigma), sigma, strength), val.x)
            for strength in method.strengths(sigma)
        }
        made.strengths[sigma] = min(errors, key=errors.__getitem__)
        started = time.perf_counter()
        x = method.restore(test.noisy(sigma), sigma, made.strengths[sigma])
        made.keep(sigma, x, fill, time.perf_counter() - started)
    return made


def _error(restored: Tensor, x: Tensor) -> float:
    return image_quality.mean_squared_error(operators.to_8_bit(restored), x).mean().item()


def values(made: Restored, x: Tensor) -> dict[str, Tensor]:
    """`psnr_<sigma>` and `ssim_<sigma>` to the values of all images (N,); larger is better."""
    found = {}
    for sigma, images in made.images.items():
        found |= {f"psnr_{sigma:g}": image_quality.psnr(images, x), f"ssim_{sigma:g}": image_quality.ssim(images, x)}
    return found


def scores(made: Restored, x: Tensor) -> dict[str, Record]:
    """`psnr_<sigma>` and `ssim_<sigma>` to a record: the mean over images, and half its 95% interval."""
    side, of_image, found = image_quality.window_of(*x.shape[-2:]), values(made, x), {}
    for sigma in made.images:
        facts = {"sigma": sigma, "sigma_unit": "of [0, 1]", "failures": made.failures[sigma]}
        facts |= {"strength": made.strengths[sigma]} if made.strengths else {}
        facts |= {"seconds_per_image": made.seconds[sigma]}
        own = {"psnr": ("PSNR", {"unit": "dB"}), "ssim": ("SSIM", {"window": side})}
        for name, (title, more) in own.items():
            key = f"{name}_{sigma:g}"
            found[key] = _record(of_image[key], {"title": f"{title}, σ {sigma:g}"} | more | facts)
    return found


def margin(of_model: Tensor, of_others: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The mean of the differences, image by image, to the best of the others, and half its 95% interval; None if one is
    infinite or there is only one image."""
    best = max(of_others, key=lambda name: of_others[name].mean().item())
    gaps = of_model - of_others[best]
    if len(gaps) < 2 or not gaps.isfinite().all():
        return None
    error = gaps.std().item() / len(gaps) ** 0.5
    return {"over": best, "value": gaps.mean().item(), "ci95_half_width": t_quantile(len(gaps) - 1) * error}


def _record(values: Tensor, facts: dict[str, Any]) -> dict[str, Any]:
    shared = {"n": len(values), "higher_is_better": True} | facts
    if exact := int((~values.isfinite()).sum()):
        return {"value": None, "reason": f"{exact} of {len(values)} images are restored exactly: infinite"} | shared
    error = values.std().item() / len(values) ** 0.5 if len(values) > 1 else None
    interval = None if error is None else t_quantile(len(values) - 1) * error
    return {"value": values.mean().item(), "standard_error": error, "ci95_half_width": interval} | shared


def pictures(test: Images, made: Mapping[str, Restored]) -> dict[str, Tensor]:
    """A row of images per method, the originals above, for each sigma: uint8 (rows * COLUMNS, C, H, W)."""
    num, found = min(COLUMNS, len(test.x)), {}
    for sigma in next(iter(made.values())).images:
        rows = torch.stack([test.x[:num], *(restored.images[sigma][:num] for restored in made.values())])
        found[f"sigma-{sigma:g}.png"] = (rows.flatten(0, 1) * 255).round().to(torch.uint8)
    return found
