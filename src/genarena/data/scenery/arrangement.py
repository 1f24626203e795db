"""Arranges scenes at random: which objects, and where; no two touch.

Whole scenes are drawn until they fit, so scenes of four objects are mostly of small ones.
"""

import numpy as np

from genarena.data.scenery.things import COLOUR, COLOURS, MOST, SHAPE, SHAPES, SIDE, SIZE, SIZES, X, Y

SORTS = ("one", "two", "same", "many")  # one object; two of different shapes; 2 to 4 of one shape; 3 or 4 shapes
APART = 1.42  # least distance of two centres: this times the sum of the radii, plus 1 pixel
PROPOSED = 20_000  # scenes drawn at once


def arrange(
    sort: str,
    num: int,
    rng: np.random.Generator,
    pairs: np.ndarray,
    counts: tuple[int, ...] = (2, 3, 4),
    four: bool = False,
) -> np.ndarray:
    """`num` scenes (num, 4, 5) of a sort.

    pairs: (shapes, colours) bool, which combinations may occur. counts: of sort "same", how many objects there are.
    four: only scenes of four objects of one shape and one colour; False: none, as in training.
    """
    found: list[np.ndarray] = []
    while sum(map(len, found)) < num:
        proposed = _proposed(sort, PROPOSED, rng, counts)
        found.append(proposed[_fits(proposed, pairs) & _apart(proposed) & (alike(proposed) == four)])
    return np.concatenate(found)[:num]


def relation(objects: np.ndarray) -> np.ndarray:
    """(N,) how the first object lies to the second: 0 left, 1 right, 2 above, 3 below; -1 if neither axis is the longer."""
    across, down = (objects[:, 1, axis] - objects[:, 0, axis] for axis in (X, Y))
    sideways = np.where(across > 0, 0, 1)
    upright = np.where(down > 0, 2, 3)
    longer = np.where(abs(across) > abs(down), sideways, upright)
    return np.where((abs(across) == abs(down)) | (objects[:, 1, SHAPE] < 0), -1, longer)


def alike(objects: np.ndarray) -> np.ndarray:
    """(N,) bool: four objects of one shape and one colour."""
    kinds = objects[:, :, [SHAPE, COLOUR]]
    return (objects[:, -1, SHAPE] >= 0) & (kinds == kinds[:, :1]).all((1, 2))


def _proposed(sort: str, num: int, rng: np.random.Generator, counts: tuple[int, ...]) -> np.ndarray:
    number = {"one": np.ones(num, int), "two": np.full(num, 2), "same": rng.choice(counts, num)}.get(sort)
    number = rng.integers(3, MOST + 1, num) if number is None else number
    objects = np.empty((num, MOST, 5), int)
    different = rng.random((num, len(SHAPES))).argsort(1)[:, :MOST]
    objects[:, :, SHAPE] = different[:, :1] if sort == "same" else different
    objects[:, :, COLOUR] = rng.integers(len(COLOURS), size=(num, MOST))
    if sort == "same":  # half of them in one colour
        one_colour = rng.random(num) < 0.5
        objects[one_colour, :, COLOUR] = objects[one_colour, :1, COLOUR]
    objects[:, :, SIZE] = rng.integers(len(SIZES), size=(num, MOST))
    radius = np.array(tuple(SIZES.values()))[objects[:, :, SIZE]]
    for axis in (X, Y):
        objects[:, :, axis] = radius + rng.integers(0, SIDE - 2 * radius)
    objects[np.arange(MOST) >= number[:, None]] = -1
    return objects


def _fits(objects: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether every object is of an allowed combination."""
    return (pairs[objects[:, :, SHAPE], objects[:, :, COLOUR]] | (objects[:, :, SHAPE] < 0)).all(1)


def _apart(objects: np.ndarray) -> np.ndarray:
    radius = np.array(tuple(SIZES.values()))[objects[:, :, SIZE]]
    fits = np.ones(len(objects), bool)
    for first in range(MOST):
        for second in range(first + 1, MOST):
            distance = np.hypot(*(objects[:, first, axis] - objects[:, second, axis] for axis in (X, Y)))
            least = APART * (radius[:, first] + radius[:, second]) + 1
            fits &= (distance >= least) | (objects[:, second, SHAPE] < 0)
    return fits
