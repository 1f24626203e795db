"""What there is in a scene: shapes, colours and sizes, and the combinations that training never shows."""

from typing import NamedTuple

import numpy as np

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (180, 0, 255),
    "cyan": (0, 255, 255),
    "white": (255, 255, 255),
}
BACKGROUND = (30, 30, 30)
SIZES = {"small": 3, "large": 5}  # radius in pixels
SIDE = 32
MOST = 4  # objects of a scene

SHAPE, COLOUR, SIZE, X, Y = range(5)  # columns of `objects`
HELD_OUT = ((0, 2), (1, 4), (2, 0), (3, 6), (4, 1), (0, 3), (1, 5))  # (shape, colour) that no training scene has


class Thing(NamedTuple):
    """One object. x, y: of its centre, in pixels from the left and from the top."""

    shape: str
    colour: str
    size: str
    x: int
    y: int


def seen_pairs() -> np.ndarray:
    """(shapes, colours) bool: the combinations of training."""
    allowed = np.ones((len(SHAPES), len(COLOURS)), bool)
    allowed[tuple(np.transpose(HELD_OUT))] = False
    return allowed


def things(objects: np.ndarray) -> list[Thing]:
    """The objects (4, 5) of a scene that are there."""
    colours, sizes = tuple(COLOURS), tuple(SIZES)
    return [
        Thing(SHAPES[shape], colours[colour], sizes[size], int(x), int(y))
        for shape, colour, size, x, y in objects.tolist()
        if shape >= 0
    ]


def rows(scene: list[Thing]) -> np.ndarray:
    """The objects (4, 5) of a list of things, the inverse of `things`. Raises ValueError for more than 4."""
    if len(scene) > MOST:
        raise ValueError(f"{len(scene)} objects: a scene has at most {MOST}")
    found = np.full((MOST, 5), -1)
    for row, thing in enumerate(scene):
        shape, colour = SHAPES.index(thing.shape), tuple(COLOURS).index(thing.colour)
        found[row] = shape, colour, tuple(SIZES).index(thing.size), thing.x, thing.y
    return found
