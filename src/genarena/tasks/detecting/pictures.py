"""Pictures: histograms of a score inside and outside, and the images that it finds least and most anomalous."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from genarena.evaluation.figures import as_picture, figure
from genarena.tasks.base import COLUMNS, Shown
from genarena.tasks.detecting.sets import Examples

BINS = 50
ROWS = ("inside, least anomalous", "inside, most anomalous", "outside, least anomalous", "outside, most anomalous")


def seen(score: str) -> dict[str, Shown]:
    """What the pictures show; score: of the extremes."""
    return {
        "extremes.png": Shown(ROWS, f"by {score}"),
        "scores.png": Shown(text="inside and outside, by score", is_plot=True),
    }


def extremes(scores: tuple[Tensor, Tensor], inside: Examples, outside: Examples) -> Tensor:
    """Four rows of images, `ROWS`: uint8 (4 * COLUMNS, C, H, W)."""
    rows = []
    for score, examples in zip(scores, (inside, outside), strict=True):
        order = score.argsort(stable=True)
        rows += [order[:COLUMNS], order.flip(0)[:COLUMNS]]
        rows[-2:] = [_images(examples, each) for each in rows[-2:]]
    return torch.cat(rows)


def _images(examples: Examples, index: Tensor) -> Tensor:
    x = examples.spec.pictures(examples.x[index])
    missing = COLUMNS - len(x)
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])])


def histograms(scores: Mapping[str, tuple[Tensor, Tensor]], names: tuple[str, str]) -> Tensor:
    """One panel per score, inside and outside over each other: uint8 (1, 3, H, W)."""
    columns = min(3, len(scores))
    rows = -(-len(scores) // columns)
    drawn = figure(4 * columns, 2.6 * rows)
    axes = drawn.subplots(rows, columns, squeeze=False).flatten()
    for place in axes[len(scores) :]:
        place.set_axis_off()
    for place, (name, pair) in zip(axes, scores.items(), strict=False):
        values = [each.numpy()[np.isfinite(each.numpy())] for each in pair]
        every = np.concatenate(values)
        edges = np.linspace(*np.quantile(every, [0.005, 0.995]), BINS + 1) if len(every) else BINS
        for found, title in zip(values, names, strict=True):
            place.hist(found, edges, alpha=0.6, density=len(found) > 0, label=title)
        place.set_title(name, fontsize=10)
        place.set_yticks([])
    axes[0].legend(fontsize=8)
    return as_picture(drawn)
