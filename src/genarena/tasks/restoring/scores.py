"""Scores of restorations, one value per image, and records of them.

Restorations are clamped and rounded to 8 bit before PSNR and SSIM, because images are levels; statistics of draws use them as
they are.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from genarena.statistics import image_quality
from genarena.statistics.intervals import t_quantile
from genarena.tasks.base import Line, Record
from genarena.tasks.restoring.images import Images, to_8_bit
from genarena.tasks.restoring.restored import Restored

TITLES = {"psnr": ("PSNR", {"unit": "dB", "higher_is_better": True}), "ssim": ("SSIM", {"higher_is_better": True})}


def values(x: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Metric to the values of all images (N,), of restorations (N, C, H, W)."""
    x = to_8_bit(x)
    return {"psnr": image_quality.psnr(x, truth), "ssim": image_quality.ssim(x, truth)}


def of_lines(restored: Restored, test: Images) -> dict[str, dict[str, Tensor]]:
    """`mean`, and `draw` where there are draws, to the values of all images."""
    found = {"mean": values(restored.mean, test.x)}
    if restored.draws is not None:
        found["draw"] = values(restored.draws[:, 0], test.x)
    return found


def line(found: Mapping[str, Tensor], restored: Restored, paper: str = "") -> Line:
    facts = {"failures": restored.failures, "seconds_per_image": restored.seconds} | restored.facts
    return Line({name: record(each, TITLES[name], facts) for name, each in found.items()}, paper)


def record(values: Tensor, title: tuple[str, dict[str, Any]], facts: Mapping[str, Any]) -> Record:
    """The mean over images, and half its 95% interval; no value if one of them is infinite."""
    shared = {"title": title[0], "n": len(values)} | title[1] | dict(facts)
    if exact := int((~values.isfinite()).sum()):
        return {"value": None, "reason": f"{exact} of {len(values)} images are restored exactly: infinite"} | shared
    error = values.std().item() / len(values) ** 0.5 if len(values) > 1 else None
    interval = None if error is None else t_quantile(len(values) - 1) * error
    return {"value": values.mean().item(), "standard_error": error, "ci95_half_width": interval} | shared


def margin(of_model: Tensor, of_others: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The mean of the differences, image by image, to the best of the others, and half its 95% interval; None if one is
    infinite or there is only one image. Larger is better."""
    best = max(of_others, key=lambda name: of_others[name].mean().item())
    gaps = of_model - of_others[best]
    if len(gaps) < 2 or not gaps.isfinite().all():
        return None
    error = gaps.std().item() / len(gaps) ** 0.5
    return {"over": best, "value": gaps.mean().item(), "ci95_half_width": t_quantile(len(gaps) - 1) * error}
