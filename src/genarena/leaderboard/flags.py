"""Names of vertical lines that stand close together: beside the upper end of each, so that no line runs through a name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GAP = 4.0  # between a line and its name
TRIES = 20_000  # places that are looked at before names may cross


@dataclass(frozen=True)
class Flag:
    """A name from `start` to `end` in a row, counted upwards from 0. Its line, at x, runs down from there."""

    x: float
    start: float
    end: float
    row: int

    def crosses(self, other: "Flag") -> bool:
        """Whether a name covers the other, or a line runs through the other's name."""
        if self.row == other.row:
            return self.start < other.end + GAP and other.start < self.end + GAP
        upper, lower = (self, other) if self.row > other.row else (other, self)
        return lower.start - GAP / 2 < upper.x < lower.end + GAP / 2


def place_flags(lines: Sequence[tuple[float, float]], rows: int, right: float) -> list[Flag]:
    """A flag for each line.

    lines: (x, width of the name), x rising. rows: how many there may be. right: end of the canvas, which begins at 0. Rows
    are as low as may be. Where there is no way without crossings, each has the place with the fewest.
    """
    placed: list[Flag] = []
    tries = iter(range(TRIES))

    def search(index: int) -> bool:
        if index == len(lines):
            return True
        for flag in _places(*lines[index], rows, right):
            if next(tries, None) is None:
                return False
            if not any(flag.crosses(other) for other in placed):
                placed.append(flag)
                if search(index + 1):
                    return True
                placed.pop()
        return False

    if not search(0):
        placed.clear()
        for x, width in lines:
            flags = list(_places(x, width, rows, right))
            placed.append(min(flags, key=lambda flag: sum(flag.crosses(other) for other in placed)))
    return placed


def _places(x: float, width: float, rows: int, right: float) -> Iterator[Flag]:
    """Where the name of a line may stand: to the right or the left of it, as far as there is room, in each row."""
    for row in range(rows):
        starts = [start for start in (x + GAP, x - GAP - width) if 0.0 <= start <= right - width]
        for start in starts or [max(0.0, min(x - width / 2, right - width))]:
            yield Flag(x, start, start + width, row)
