"""Accuracies of classifiers on test images, with intervals over seeds and images."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.statistics.intervals import joined_half_width, t_half_width, t_quantile
from genarena.tasks.base import Record

TITLES = {
    "nas": "accuracy, real + synthetic (NAS)",
    "cas": "accuracy, synthetic only (CAS)",
    "gan_test": "synthetic images that real-trained classifiers label right (GAN-test)",
}


def accuracy(name: str, right: Tensor, facts: Mapping[str, Any], base: Tensor | None = None) -> Record:
    """right: bool (seeds, N). base: the same of `real`, for the difference image by image.

    The interval has the spread over the classifiers' seeds, and that of the images.
    """
    values = right.double().mean(1).tolist()
    found = right.double().mean(0)
    error = found.std().item() / len(found) ** 0.5
    half = joined_half_width(values, [error]) if len(values) > 1 else t_quantile(len(found) - 1) * error
    record = {"value": found.mean().item(), "ci95_half_width": half, "n": len(found), "title": TITLES[name]}
    record |= {"higher_is_better": True, "seeds": len(values), "of_each": values} | dict(facts)
    if base is not None:
        gaps = (right.double() - base.double()).mean(0)
        over_seeds = (right.double() - base.double()).mean(1).tolist()
        spread = t_half_width(over_seeds) if len(over_seeds) > 1 else 0.0
        half = torch.tensor([spread, t_quantile(len(gaps) - 1) * gaps.std().item() / len(gaps) ** 0.5]).norm().item()
        record["margin"] = {"over": "real", "value": gaps.mean().item(), "ci95_half_width": half}
    return record


def absent(name: str, reason: str, facts: Mapping[str, Any]) -> Record:
    """A value that there cannot be."""
    return {"value": None, "reason": reason, "title": TITLES[name], "higher_is_better": True} | dict(facts)
