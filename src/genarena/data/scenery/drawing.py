"""Draws scenes: masks of the shapes, and pictures of the objects."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from genarena.data.scenery.things import BACKGROUND, COLOUR, COLOURS, SHAPE, SHAPES, SIDE, SIZE, SIZES, X, Y

REACH = max(SIZES.values())
WINDOW = 2 * REACH + 1  # side of a mask
DRAWN_AT_ONCE = 8192
PALETTE = np.array([BACKGROUND, *COLOURS.values()], np.uint8)


def mask(shape: str, radius: int) -> np.ndarray:
    """Which pixels of a window (11, 11) around its centre a shape covers, bool."""
    offsets = np.arange(-REACH, REACH + 1)
    down, across = offsets[:, None], offsets[None, :]
    inside = np.maximum(abs(down), abs(across)) <= radius
    distance = down**2 + across**2
    if shape == "square":
        return inside
    if shape == "triangle":
        return inside & (2 * abs(across) <= down + radius)
    if shape == "cross":  # two diagonals
        return inside & (abs(abs(down) - abs(across)) <= 1)
    round_ = distance <= (radius + 0.3) ** 2
    return round_ if shape == "circle" else round_ & (distance > (radius - 1.5) ** 2)


@lru_cache
def masks() -> np.ndarray:
    """(shapes, sizes, 11, 11) bool."""
    return np.stack([np.stack([mask(shape, radius) for radius in SIZES.values()]) for shape in SHAPES])


def draw(objects: np.ndarray, palette: np.ndarray = PALETTE) -> Tensor:
    """Scenes (N, 4, 5) to pictures (N, C, 32, 32) uint8. palette (8, C) uint8: of the background, then of the colours."""
    parts = np.split(objects, range(DRAWN_AT_ONCE, len(objects), DRAWN_AT_ONCE))
    return torch.cat([torch.from_numpy(_drawn(part, palette)) for part in parts])


def _drawn(objects: np.ndarray, palette: np.ndarray) -> np.ndarray:
    canvas = np.empty((len(objects), palette.shape[1], SIDE + 2 * REACH, SIDE + 2 * REACH), np.uint8)
    canvas[:] = palette[0][:, None, None]
    windows = np.lib.stride_tricks.sliding_window_view(canvas, (WINDOW, WINDOW), (2, 3), writeable=True)
    colours = palette[1:]
    for place in range(objects.shape[1]):
        there = (objects[:, place, SHAPE] >= 0).nonzero()[0]
        shape, colour, size, x, y = objects[there, place][:, [SHAPE, COLOUR, SIZE, X, Y]].T
        covered = masks()[shape, size][:, None]  # (n, 1, 11, 11)
        windows[there, :, y, x] = np.where(covered, colours[colour][:, :, None, None], windows[there, :, y, x])
    return np.ascontiguousarray(canvas[:, :, REACH:-REACH, REACH:-REACH])
