"""The forest plot of a table: the ranking metric of every line with its interval, between floor and ceiling."""

from dataclasses import dataclass, replace

from genarena.leaderboard.axes import Axis, make_axis
from genarena.leaderboard.cells import Cell
from genarena.leaderboard.drawing import colour, interval, short_name
from genarena.leaderboard.flags import place_flags
from genarena.leaderboard.heads import full_title, real_value
from genarena.leaderboard.lines import Line
from genarena.leaderboard.ranking import REFERENCES
from genarena.leaderboard.tables import Table

ROW = 26.0  # height of a line
WIDTH, NAMES, MARGIN = 440.0, 150.0, 16.0  # of the whole, of the names at the left, of the margin at the right
LEVELS, LEVEL = 5, 13.0  # most rows of the references' names, and the height of one
ABOVE, BELOW = 12.0, 40.0  # margin above, without the names; for the axis
CHARACTER = 6.0  # width of a letter of the references' names
QUANTILE = 1.96  # of the normal distribution: standard errors to either end of a 95% interval


@dataclass(frozen=True)
class Row:
    """One line of the table.

    seeds: the values of single runs. bar: ends of the interval; None: there is none. is_of_one: of the only seed, so that the
    interval is of its samples and test examples alone.
    """

    line: Line
    y: float
    x: float
    colour: int
    bar: tuple[float, float] | None
    is_of_one: bool
    seeds: tuple[float, ...]
    name: str
    value: str
    is_ranked: bool


@dataclass(frozen=True)
class Reference:
    """A vertical line at the value of a reference. start, y: where its name begins."""

    name: str
    x: float
    y: float
    start: float


@dataclass(frozen=True)
class Forest:
    title: str
    axis: Axis
    rows: list[Row]
    references: list[Reference]
    note: str
    top: float
    left: float = NAMES
    right: float = WIDTH - MARGIN
    width: float = WIDTH

    @property
    def bottom(self) -> float:
        return self.top + ROW * len(self.rows)

    @property
    def height(self) -> float:
        return self.bottom + BELOW


def forest(table: Table) -> Forest | None:
    """The plot of the ranking metric, lines in the order of the table; None without such a metric or without two values."""
    key = table.ranked_by
    if key is None:
        return None
    valued = [line for line in table.lines if line.cells[key].value is not None]
    lines = [line for line in valued if not line.is_reference]
    if not lines or len(valued) < 2:
        return None
    column, marks = table.column[key], _references(table, key)
    values = [line.cells[key].value for line in lines] + [value for _, value in marks]
    spread = [end for line in lines for end in ends_of(line.cells[key]) or ()]
    spread += [value for line in lines for value in line.values(key) if value is not None]
    axis = make_axis(full_title(column), values, spread)
    axis.place_ticks(NAMES, WIDTH - MARGIN)
    references, top = _named(marks, axis)
    rows = [_row(line, top + ROW * (index + 0.5), key, table, axis) for index, line in enumerate(lines)]
    note = _note(column.higher_is_better, rows, bool(marks))
    return Forest(f"{column.title}, every line with its interval", axis, rows, references, note, top)


def ends_of(cell: Cell) -> tuple[float, float] | None:
    """The ends of a line's 95% interval: over seeds from three on; of one seed, 1.96 standard errors to either side."""
    if cell.num_seeds != 1:
        return interval(cell)
    return replace(cell, half_width=QUANTILE * cell.standard_error).interval if cell.standard_error else None


def _note(higher_is_better: bool | None, rows: list[Row], has_references: bool) -> str:
    """The legend, of what is there."""
    better = {True: "Further right is better.", False: "Further left is better."}.get(higher_is_better, "")
    has_seeds = any(row.seeds for row in rows)
    said = {
        better: better,
        "Large points are means, small ones single seeds.": has_seeds,
        "Thick bars are 95% intervals over training seeds, samples and test examples.": any(
            row.bar and not row.is_of_one for row in rows
        ),
        "Thin bars, of a single seed, are ± 1.96 standard errors of samples and test examples: another seed may lie "
        "outside.": any(row.bar and row.is_of_one for row in rows),
        "Hollow: not ranked.": not all(row.is_ranked for row in rows),
        "Dashed lines are references: floors, ceilings, real data.": has_references,
    }
    return " ".join(text for text, is_there in said.items() if is_there)


def _references(table: Table, key: str) -> list[tuple[str, float]]:
    """(name, value) of floors, ceilings and real data."""
    found = [
        (f"{line.model} ({REFERENCES[line.model]})" if line.model in REFERENCES else line.model, line.cells[key].value)
        for line in table.lines
        if line.is_reference and line.cells[key].value is not None
    ]
    has_real = any(record.get("real") is not None for line in table.lines for record in [line.runs[0].record(key)])
    real = real_value(table, key) if has_real else None
    return [*found, ("real data", real)] if real is not None else found


def _row(line: Line, y: float, key: str, table: Table, axis: Axis) -> Row:
    at, cell = axis.scale(NAMES, WIDTH - MARGIN), line.cells[key]
    ends = ends_of(cell)
    singles = [value for value in line.values(key) if value is not None]
    return Row(
        line,
        y,
        at(cell.value),
        colour(line.family),
        ends and (at(ends[0]), at(ends[1])),
        cell.num_seeds == 1,
        tuple(at(value) for value in singles) if len(singles) > 1 else (),
        short_name(line, table, 20),
        cell.text,
        line.place is not None,
    )


def _named(marks: list[tuple[str, float]], axis: Axis) -> tuple[list[Reference], float]:
    """The references with their names in rows above the plot, and where the plot begins."""
    at = axis.scale(NAMES, WIDTH - MARGIN)
    placed = sorted((at(value), name) for name, value in marks)
    flags = place_flags([(x, CHARACTER * len(name)) for x, name in placed], LEVELS, WIDTH - 2.0)
    top = ABOVE + LEVEL * max((flag.row + 1 for flag in flags), default=0)
    return [
        Reference(name, flag.x, top - 8.0 - LEVEL * flag.row, round(flag.start, 1))
        for (_, name), flag in zip(placed, flags, strict=True)
    ], top
