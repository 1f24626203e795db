"""Properties of drawings that are measured in the pixels, without a model: light strokes on a dark ground.

thickness: 2 area / perimeter, in pixels; w L / (w + L) for a bar of w x L. slant: the tangent of the angle from the upright,
positive to the right. width: of the uniform bar with the same horizontal variance, in pixels. x, y: the centre, column and row
from the upper left. scale: the root of the area, in pixels.

Slant by moments is that of Morpho-MNIST (Castro, Tan, Kainz, Konukoglu & Glocker 2019, arXiv 1809.10780, sec. 2.2).
Differs from it: thickness from the perimeter, which needs no skeleton, and width from the variance.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

MEASURES = ("thickness", "slant", "width", "x", "y", "scale")


def measured(name: str, unit: Tensor) -> Tensor:
    """A measure (N,) float64 of images (N, C, H, W) in [-1, 1]; 0 for an image without ink."""
    ink = (unit.double().clamp(-1.0, 1.0).mean(1) + 1.0) / 2.0
    return _OF[name](ink)


def _thickness(ink: Tensor) -> Tensor:
    padded = F.pad(ink, (1, 1, 1, 1))
    down, right = padded[:, 1:, :-1] - padded[:, :-1, :-1], padded[:, :-1, 1:] - padded[:, :-1, :-1]
    return 2.0 * ink.sum((1, 2)) / (down.square() + right.square()).sqrt().sum((1, 2)).clamp_min(1e-9)


def _moments(ink: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Mean column and row, variance of the columns and of the rows, covariance."""
    mass = ink.sum((1, 2)).clamp_min(1e-9)
    rows, columns = (torch.arange(size, dtype=ink.dtype) for size in ink.shape[1:])
    across, down = ink.sum(1) / mass[:, None], ink.sum(2) / mass[:, None]
    x, y = across @ columns, down @ rows
    both = torch.einsum("nrc,r,c->n", ink, rows, columns) / mass - x * y
    return x, y, across @ columns.square() - x.square(), down @ rows.square() - y.square(), both


def _slant(ink: Tensor) -> Tensor:
    _, _, _, down, both = _moments(ink)
    return -both / down.clamp_min(1e-9)


def _width(ink: Tensor) -> Tensor:
    return (12.0 * _moments(ink)[2].clamp_min(0.0) + 1.0).sqrt() * (ink.sum((1, 2)) > 1e-6)


_OF: dict[str, Callable[[Tensor], Tensor]] = {
    "thickness": _thickness,
    "slant": _slant,
    "width": _width,
    "x": lambda ink: _moments(ink)[0],
    "y": lambda ink: _moments(ink)[1],
    "scale": lambda ink: ink.sum((1, 2)).sqrt(),
}
