"""What a plot is made of, as positions on a canvas with y downwards; `plot.html.jinja` turns it into SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis
from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table

FONT = 11.0
NUM_COLOURS = 10
MANY = 14  # points or curves beyond which only some are named; the others say their name when pointed at


@dataclass
class Mark:
    """A point. `bar`: the ends of its interval. `text`: where its name stands (x, y, text-anchor), None: nowhere."""

    line: Line
    x: float
    y: float
    colour: int
    bar: tuple[float, float] | None
    label: str
    tip: str
    text: tuple[float, float, str] | None = None


@dataclass
class Trace:
    """A curve. `text`: the y of its name, which stands right of its end; None: it has none."""

    line: Line
    points: str
    colour: int
    label: str
    end: tuple[float, float]
    text: float | None = None


@dataclass
class Plot:
    """Axes with marks, traces and a Pareto front (`front`: the points of its staircase)."""

    title: str
    note: str
    x: Axis
    y: Axis
    marks: list[Mark] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    front: str = ""
    width: float = WIDTH
    height: float = HEIGHT
    frame: tuple[float, float, float, float] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def families(table: Table) -> list[str]:
    return sorted({line.family for line in table.lines})


def colour(family: str, families: Sequence[str]) -> int:
    """A number in [0, NUM_COLOURS)."""
    return families.index(family) % NUM_COLOURS


def short_name(line: Line, table: Table) -> str:
    """The model's name where it tells the lines apart, else the whole name, cut."""
    alone = sum(other.model == line.model for other in table.lines) == 1
    name = line.model if alone else line.name
    return name if len(name) <= 24 else f"{name[:23]}…"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
