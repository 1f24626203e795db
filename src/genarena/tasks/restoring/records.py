"""Records of the metrics of restoration: titles, directions or targets, standard errors by image, margins over a floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genarena.statistics.intervals import t_quantile
from genarena.tasks.base import Record

UP, DOWN = {"higher_is_better": True}, {"higher_is_better": False}

METRICS: dict[str, dict[str, Any]] = {  # in the order of the table; a metric with a target has no direction
    "psnr": {"title": "PSNR", "unit": "dB"} | UP,
    "ssim": {"title": "SSIM"} | UP,
    "lpips_alex": {"title": "LPIPS, alex"} | DOWN,
    "lpips_vgg": {"title": "LPIPS, vgg"} | DOWN,
    "fd_domain": {"title": "FD domain"} | DOWN,
    "agreement": {"title": "class agreement"} | UP,
    "crps": {"title": "CRPS"} | DOWN,
    "energy_score": {"title": "energy score"} | DOWN,
    "chi2": {"title": "chi2", "target": 1.0},
    "mse_ratio": {"title": "MSE ratio"},  # its target depends on the number of draws
    "spread_skill": {"title": "spread-skill", "target": 1.0},
    "coverage": {"title": "coverage of 90%", "target": 0.9},
    "pixel_std": {"title": "pixel std"},
    "nfe": {"title": "NFE per image"} | DOWN,
    "seconds": {"title": "time per image", "unit": "s"} | DOWN,
    "failures": {"title": "failures"} | DOWN,
}


@dataclass(frozen=True)
class Score:
    """What is known of a metric: `by_image` (N,), whose mean is the value; or a `value`, with its standard error; or a `reason`
    why there is none. facts: JSON-able."""

    by_image: Tensor | None = None
    value: float | None = None
    standard_error: float | None = None
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Scores = dict[str, Score]


def ratio(above: Tensor, below: Tensor) -> Score:
    """sum a / sum b of numbers (N,) of images; its standard error is that of the linear expansion (the delta method)."""
    if not below.sum() > 0:
        return Score(reason="the mean of the draws has no error")
    value = (above.sum() / below.sum()).item()
    residuals = (above - value * below) / below.mean()
    error = residuals.std().item() / len(above) ** 0.5 if len(above) > 1 else None
    return Score(value=value, standard_error=error)


def root(score: Score) -> Score:
    """The square root of a score, by the delta method."""
    if score.value is None:
        return score
    value = score.value**0.5
    error = None if score.standard_error is None or value == 0 else score.standard_error / (2.0 * value)
    return Score(value=value, standard_error=error)


def record(metric: str, score: Score, num: int) -> Record:
    """The value with its standard error by image and half its 95% interval. num: images. An infinite value is none."""
    shared = {"n": num} | METRICS[metric] | dict(score.facts)
    if score.by_image is None:
        if score.value is None:
            return {"value": None, "reason": score.reason} | shared
        return {"value": score.value} | _errors(score.standard_error, num) | shared
    values = score.by_image.double()
    if infinite := int((~values.isfinite()).sum()):
        exact = f"{infinite} of {len(values)} images are restored exactly: infinite"
        reason = exact if metric == "psnr" else f"not finite for {infinite} of {len(values)} images"
        return {"value": None, "reason": reason} | shared
    error = values.std().item() / len(values) ** 0.5 if len(values) > 1 else None
    return {"value": values.mean().item()} | _errors(error, len(values)) | shared


def _errors(error: float | None, num: int) -> dict[str, float | None]:
    interval = None if error is None else t_quantile(num - 1) * error
    return {"standard_error": error, "ci95_half_width": interval}


def margin(metric: str, of_model: Score, of_others: Mapping[str, Score]) -> dict[str, Any] | None:
    """How much better the model is than the best of the others, image by image, and half the 95% interval: above zero is
    better, whatever the direction of the metric.

    None for a metric without a direction or without values by image, if one of them is infinite, or if there is one image.
    """
    better = METRICS[metric].get("higher_is_better")
    others = {name: score.by_image.double() for name, score in of_others.items() if score.by_image is not None}
    if better is None or of_model.by_image is None or not others:
        return None
    sign = 1.0 if better else -1.0
    best = max(others, key=lambda name: torch.nan_to_num(sign * others[name], nan=-torch.inf).mean().item())
    gaps = sign * (of_model.by_image.double() - others[best])
    if len(gaps) < 2 or not gaps.isfinite().all():
        return None
    error = gaps.std().item() / len(gaps) ** 0.5
    return {"over": best, "value": gaps.mean().item(), "ci95_half_width": t_quantile(len(gaps) - 1) * error}
