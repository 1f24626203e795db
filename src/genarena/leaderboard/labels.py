"""Where the names of points stand: beside their point, or further off with a line to it, and never on each other."""

import math
from collections.abc import Iterable, Iterator, Sequence

from genarena.leaderboard.axes import RIGHT, TOP
from genarena.leaderboard.drawing import FONT, Mark, Trace

BESIDE = (  # positions of a label relative to its point: dx, dy, text-anchor; the first free one is used
    (7, 4, "start"),
    (-7, 4, "end"),
    (0, -8, "middle"),
    (0, 16, "middle"),
    (6, -6, "start"),
    (6, 14, "start"),
    (-6, -6, "end"),
    (-6, 14, "end"),
)
FURTHER = (20, 32, 46, 62)  # distances of labels with a leader
DIRECTIONS = 16
CHARACTER = 0.6 * FONT  # width of a letter


Box = tuple[float, float, float, float]  # left, top, right, bottom


def place_names(
    marks: Sequence[Mark | Trace],
    frame: tuple[float, ...],
    order: Iterable[int] | None = None,
    beside: Iterable[Box] = (),
) -> None:
    """Place the labels of points or of the ends of curves, without overlap with each other or with the points.

    Some may not find a place. frame: left, top, right and bottom of the plot. order: of the indices; None: as they come.
    beside: boxes where no label may stand either.
    """
    taken = [(mark.x - 4, mark.y - 4, mark.x + 4, mark.y + 4) for mark in marks] + list(beside)
    for index in range(len(marks)) if order is None else order:
        mark = marks[index]
        for x, y, text_anchor, leader in _places(mark):
            box = box_of(mark.label, x, y, text_anchor)
            if _inside(box, frame) and not any(overlap(box, other) for other in taken):
                mark.text, mark.leader = (x, y, text_anchor), leader
                taken.append(box)
                break


def box_of(label: str, x: float, y: float, text_anchor: str) -> Box:
    """The box (left, top, right, bottom) of a label."""
    width = CHARACTER * len(label)
    start = x - {"start": 0.0, "end": width, "middle": width / 2}[text_anchor]
    return start, y - FONT + 2, start + width, y + 2


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, right, bottom) overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _places(mark: Mark | Trace) -> Iterator[tuple[float, float, str, str]]:
    """(x, y, text-anchor, points of the leader) of the places of a label, the best first."""
    for dx, dy, text_anchor in BESIDE:
        yield mark.x + dx, mark.y + dy, text_anchor, ""
    for distance in FURTHER:
        for turn in range(DIRECTIONS):
            angle = 2 * math.pi * turn / DIRECTIONS
            x, y = mark.x + distance * math.cos(angle), mark.y + distance * math.sin(angle)
            text_anchor = "middle" if abs(math.cos(angle)) < 0.3 else "start" if math.cos(angle) > 0 else "end"
            yield x, y + 4, text_anchor, f"{mark.x:.1f},{mark.y:.1f} {x:.1f},{y:.1f}"


def _inside(box: tuple[float, ...], frame: tuple[float, ...]) -> bool:
    left, top, right, bottom = frame
    return box[0] >= left and box[2] <= right + RIGHT and box[1] >= top - TOP and box[3] <= bottom
