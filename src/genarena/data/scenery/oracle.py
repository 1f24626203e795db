"""Reads a picture: which objects it shows, exactly (`strict`) or also where they are blurred or faded (`lenient`).

strict: each pixel has the nearest colour of the palette, within a distance; 4-connected pixels of one colour are compared
with shifted masks of all shapes, and are the object of the best intersection over union, if it is large enough. On drawn scenes
it is exact.
lenient: 4-connected pixels that are not background; their colour is that of the brightest of them, by direction; the masks are
also blurred, and the best one has the largest correlation with the brightness.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage
from torch import Tensor

from genarena.data.scenery.drawing import REACH, masks
from genarena.data.scenery.things import BACKGROUND, COLOURS, SHAPES, SIDE, SIZES, Thing

NEAR = 90.0  # largest distance of a pixel from a colour of the palette, of levels 0 to 255
LEAST_OVERLAP = 0.6  # intersection over union
FOREGROUND = 60.0  # lenient: least distance from the background
BRIGHTEST = 0.4  # lenient: share of the pixels that tell the colour
BLURS = (0.0, 0.6, 1.0)  # lenient: standard deviations of blurred masks, in pixels
LEAST_CORRELATION = 0.8  # lenient
SPECK = 5  # regions of fewer pixels are noise
PAD = REACH + 2
SHIFTS = range(-2, 3)  # of a mask against the middle of a region


@dataclass(frozen=True)
class Reading:
    """scenes: the objects of each picture. unread: (N,) regions of each picture that are like no object."""

    scenes: list[list[Thing]]
    unread: np.ndarray


def read(pictures: Tensor, lenient: bool = False) -> Reading:
    """What pictures (N, 3, 32, 32) of levels 0 to 255 show. Raises ValueError for another shape."""
    if tuple(pictures.shape[1:]) != (3, SIDE, SIDE):
        raise ValueError(f"pictures of shape {tuple(pictures.shape[1:])}: expected (3, {SIDE}, {SIDE})")
    if not len(pictures):
        return Reading([], np.zeros(0, int))
    levels = pictures.cpu().numpy().astype(np.float32)
    return _lenient(levels) if lenient else _strict(levels)


# -- strict ----------------------------------------------------------------------------------------------------------------


def _strict(levels: np.ndarray) -> Reading:
    palette = np.array([BACKGROUND, *COLOURS.values()], np.float32)
    distances = np.stack([((levels - colour[:, None, None]) ** 2).sum(1) for colour in palette], 1)  # (N, 8, 32, 32)
    nearest = np.where(distances.min(1) <= NEAR**2, distances.argmin(1), 0)
    planes = nearest[:, None] == np.arange(1, len(palette))[:, None, None]
    owners, windows, centres = _regions(planes.reshape(-1, SIDE, SIDE))
    bank, kinds = _bank((0.0,))
    flat, sizes = windows.reshape(-1, bank.shape[1]), windows.sum((1, 2))
    overlap = flat @ bank.T
    scores = overlap / (sizes[:, None] + bank.sum(1) - overlap)
    return _reading(len(levels), owners // len(COLOURS), owners % len(COLOURS), centres, scores, kinds, LEAST_OVERLAP)


# -- lenient ---------------------------------------------------------------------------------------------------------------


def _lenient(levels: np.ndarray) -> Reading:
    contrast = levels - np.array(BACKGROUND, np.float32)[:, None, None]
    strength = np.sqrt((contrast**2).sum(1))
    owners, windows, centres = _regions(strength > FOREGROUND)
    across = np.arange(-PAD, PAD + 1)
    padded = np.pad(contrast, ((0, 0), (0, 0), (2 * PAD, 2 * PAD), (2 * PAD, 2 * PAD)))
    rows = (centres[:, 1, None] + across + 2 * PAD)[:, :, None]
    columns = (centres[:, 0, None] + across + 2 * PAD)[:, None, :]
    near = padded[owners[:, None, None], :, rows, columns]  # (R, 15, 15, 3)
    colours = _colours(near, windows)
    brightness = (near * _directions()[colours][:, None, None]).sum(3).clip(0.0)
    brightness *= ndimage.binary_dilation(windows > 0, np.ones((1, 3, 3)))  # neighbours are other objects
    bank, kinds = _bank(BLURS)
    flat = brightness.reshape(-1, bank.shape[1])
    norms = np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-9)
    scores = (flat / norms) @ (bank / np.linalg.norm(bank, axis=1, keepdims=True)).T
    return _reading(len(levels), owners, colours, centres, scores, kinds, LEAST_CORRELATION)


def _directions() -> np.ndarray:
    """(colours, 3) unit vectors from the background to each colour."""
    ways = np.array(tuple(COLOURS.values()), np.float32) - np.array(BACKGROUND, np.float32)
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def _colours(near: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(R,) the colour of each region, by the direction of the mean contrast of its brightest pixels."""
    strength = np.linalg.norm(near, axis=3) * windows
    found = np.zeros(len(near), int)
    for row, (values, inside) in enumerate(zip(strength, windows, strict=True)):
        if not inside.any():
            continue
        least = np.quantile(values[inside > 0], 1.0 - BRIGHTEST)
        mean = near[row][(values >= least) & (inside > 0)].mean(0)
        found[row] = (_directions() @ mean).argmax()
    return found


# -- both ------------------------------------------------------------------------------------------------------------------


def _regions(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """4-connected regions of planes (P, 32, 32) bool: the plane (R,) of each, its pixels in a window (R, 15, 15) float32
    around its middle, and the middle (R, 2), column and row. The window of a region that is larger than it is empty."""
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    labels, _ = ndimage.label(planes, flat)
    owners, windows, centres = [], [], []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        own = labels[place][0] == number
        if own.sum() < SPECK:
            continue
        middle = [(part.start + part.stop - 1) // 2 for part in place[1:]]
        window = np.zeros((2 * PAD + 1, 2 * PAD + 1), np.float32)
        first = [part.start - at + PAD for part, at in zip(place[1:], middle, strict=True)]
        if min(first) >= 0 and max(own.shape) <= len(window):
            window[first[0] : first[0] + own.shape[0], first[1] : first[1] + own.shape[1]] = own
        owners.append(place[0].start)
        windows.append(window)
        centres.append((middle[1], middle[0]))
    side = 2 * PAD + 1
    return (
        np.array(owners, int),
        np.array(windows, np.float32).reshape(-1, side, side),
        np.array(centres, int).reshape(-1, 2),
    )


@lru_cache
def _bank(blurs: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Masks of all shapes and sizes, blurred and shifted, (K, 15 * 15) float32; and shape, size, column and row (K, 4)."""
    bank, kinds = [], []
    for (shape, size), blur in ((kind, blur) for kind in np.ndindex(*masks().shape[:2]) for blur in blurs):
        mask = np.pad(masks()[shape, size].astype(np.float32), PAD - REACH)
        mask = ndimage.gaussian_filter(mask, blur, mode="constant") if blur else mask
        for down in SHIFTS:
            for right in SHIFTS:
                bank.append(ndimage.shift(mask, (down, right), order=0).ravel())
                kinds.append((shape, size, right, down))
    return np.array(bank), np.array(kinds)


def _reading(
    num: int,
    pictures: np.ndarray,
    colours: np.ndarray,
    centres: np.ndarray,
    scores: np.ndarray,
    kinds: np.ndarray,
    least: float,
) -> Reading:
    """The best kind of each region, where its score is large enough."""
    scenes: list[list[Thing]] = [[] for _ in range(num)]
    unread = np.zeros(num, int)
    names, sizes = tuple(COLOURS), tuple(SIZES)
    for picture, colour, centre, score in zip(pictures, colours, centres, scores, strict=True):
        best = score.argmax()
        if score[best] < least:
            unread[picture] += 1
            continue
        shape, size, right, down = kinds[best].tolist()
        thing = Thing(SHAPES[shape], names[colour], sizes[size], int(centre[0]) + right, int(centre[1]) + down)
        scenes[picture].append(thing)
    return Reading(scenes, unread)
