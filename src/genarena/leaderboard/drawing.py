"""The parts of a plot, with positions on a canvas whose y axis points down. `plot.html.jinja` draws them as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis
from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table

FONT = 11.0
NUM_COLOURS = 10
MANY = 14  # with more points or curves than this, not all have a label; every one has a tooltip


@dataclass
class Mark:
    """A point. bar: the ends of its interval. text: position of its label (x, y, text-anchor); None: no label."""

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
    """A curve. text: the y of its label, which is right of its end; None: no label."""

    line: Line
    points: str
    colour: int
    label: str
    end: tuple[float, float]
    text: float | None = None


@dataclass
class Plot:
    """Axes with points, curves and a Pareto front. front: the points of its staircase line."""

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
    """The number of the family's colour, in [0, NUM_COLOURS)."""
    return families.index(family) % NUM_COLOURS


def short_name(line: Line, table: Table) -> str:
    """The name of the model if no other line has this model, else the full name; at most 24 characters."""
    alone = sum(other.model == line.model for other in table.lines) == 1
    name = line.model if alone else line.name
    return name if len(name) <= 24 else f"{name[:23]}…"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
