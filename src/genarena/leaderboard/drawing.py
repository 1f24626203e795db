"""The parts of a plot, with positions on a canvas whose y axis points down. `plot.html.jinja` draws them as SVG."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from genarena.leaderboard.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis
from genarena.leaderboard.cells import Cell
from genarena.leaderboard.lines import Line
from genarena.leaderboard.tables import Table

FONT = 11.0
MANY = 18  # with more curves than this, they have no labels; every one has a tooltip
COLOURS = {  # family -> number of its colour in page.css, the same in every plot and on every page
    "autoregressive": 0,
    "flow": 1,
    "diffusion": 2,
    "gan": 3,
    "vae": 4,
    "energy": 5,
    "invertible_ae": 6,
    "discrete_diffusion": 7,
    "baseline": 8,
    "hidden_markov": 9,
}
SPARE = (10, 11)  # of families that are not named above


@dataclass
class Mark:
    """A point. bar: the ends of its interval. text: position of its label (x, y, text-anchor); None: no label.
    leader: from the point to a label that is not beside it."""

    line: Line
    x: float
    y: float
    colour: int
    bar: tuple[float, float] | None
    label: str
    tip: str
    text: tuple[float, float, str] | None = None
    leader: str = ""


@dataclass
class Trace:
    """The curves of a line, one for each seed. x, y: the end of the first; text and leader: as in a mark."""

    line: Line
    curves: list[str]
    colour: int
    label: str
    x: float
    y: float
    text: tuple[float, float, str] | None = None
    leader: str = ""


@dataclass
class Plot:
    """Axes with points, curves and a Pareto front.

    front: the points of its staircase line. joins: lines through points of one model, with the number of their colour.
    """

    title: str
    note: str
    x: Axis
    y: Axis
    marks: list[Mark] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    front: str = ""
    joins: list[tuple[int, str]] = field(default_factory=list)
    width: float = WIDTH
    height: float = HEIGHT
    frame: tuple[float, float, float, float] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def families(table: Table) -> list[str]:
    return sorted({line.family for line in table.lines})


def colour(family: str) -> int:
    """The number of the family's colour. It depends on the family alone."""
    return COLOURS.get(family, SPARE[sum(family.encode()) % len(SPARE)])


def interval(cell: Cell) -> tuple[float, float] | None:
    """The ends of the interval of a cell; None if it has none."""
    ends = getattr(cell, "interval", None)
    if ends is not None:
        return float(ends[0]), float(ends[1])
    return None if not cell.half_width else (cell.value - cell.half_width, cell.value + cell.half_width)


def short_name(line: Line, table: Table, longest: int = 24) -> str:
    """The name of the model if no other line has this model, else with what was typed; at most `longest` letters.

    Names of options are cut before their values are: the values tell lines apart.
    """
    alike = [other for other in table.lines if other.model == line.model]
    if len(alike) == 1:
        return _cut(line.model, longest)
    if sum(other.overrides == line.overrides for other in alike) > 1:
        return _cut(line.name, longest)
    full, brief = (" ".join([line.model, *(_option(text, most) for text in line.overrides)]) for most in (longest, 5))
    return full if len(full) <= longest else _cut(brief, longest)


def _option(override: str, longest: int) -> str:
    """`sampler.temperature=0.7` is `temp.=0.7`, if its name may have five letters."""
    key, sign, value = override.partition("=")
    name = key.rpartition(".")[2]
    return f"{name if len(name) <= longest else f'{name[: longest - 1]}.'}{sign}{value}"


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
