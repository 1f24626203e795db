"""Pictures of guidance: accuracy against recall, and a row of samples per label at some strengths."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.figures import as_picture, figure
from genarena.models.base import GenerativeModel
from genarena.spec import Condition
from genarena.tasks.base import COLUMNS, Line, Shown
from genarena.tasks.editing.attributes import names_of
from genarena.tasks.guiding.strengths import Strengths, rows_of_labels

SHOWN = (0.0, 1.0, 3.0)  # strengths of which there are grids
MOST_ROWS = 20  # labels in a grid
MOST_IMAGES = 8  # images whose attributes are asked for in a grid
CURVE = "guidance.png"


class Rows(NamedTuple):
    """y: conditions (rows * COLUMNS, ...) of a grid, row by row. titles: of the rows."""

    y: Tensor
    titles: tuple[str, ...]


def rows_of(data: ArenaDataModule, condition: Condition, asked: Tensor) -> Rows:
    """A row per label; or for the attributes of each of the first test images asked for."""
    if condition.kind == "label":
        num = min(condition.size, MOST_ROWS)
        return Rows(rows_of_labels(num, COLUMNS), tuple(f"label {label}" for label in range(num)))
    names = names_of(data.name, condition.size)
    shown = asked[:MOST_IMAGES]
    titles = (", ".join(names[place] for place in row.nonzero().flatten().tolist()) or "none" for row in shown)
    return Rows(shown.repeat_interleave(COLUMNS, 0), tuple(titles))


def grid(algorithm: Strengths, model: GenerativeModel, y: Tensor, s: float, seed: int) -> Tensor:
    """uint8 images (rows * COLUMNS, C, H, W) of y; equal places have equal noise at all strengths."""
    return model.spec.pictures(algorithm.draw(model, y, s, seed).x)


def shown_in_grid(titles: Sequence[str], s: float) -> Shown:
    text = "without the condition: every row is drawn from p(x)" if s == 0.0 else f"guidance s = {s:g}"
    return Shown(list(titles), text)


def curve(lines: Mapping[float, Line], floors: Mapping[str, Line], accuracy: str) -> Tensor:
    """uint8 (1, 3, H, W): accuracy over recall, the strengths of the model joined, floors beside them."""
    made = figure(7.0, 5.0)
    axes = made.add_subplot()
    points = {s: point for s, line in lines.items() if (point := _point(line)) is not None}
    axes.plot(*zip(*points.values(), strict=True), marker="o", color="tab:blue", label="model") if points else None
    for s, point in points.items():
        axes.annotate(f"s={s:g}", point, xytext=(5, 5), textcoords="offset points", color="tab:blue")
    for (name, line), marker in zip(floors.items(), "*sDvP", strict=False):
        if (point := _point(line)) is not None:
            filled = "black" if line.is_real else "none"
            axes.plot(*point, marker, markersize=10, color="black", markerfacecolor=filled, label=name)
    axes.set(xlabel="recall (diversity)", ylabel=accuracy, xlim=(-0.03, 1.03), ylim=(-0.03, 1.06))
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    return as_picture(made)


def _point(line: Line) -> tuple[float, float] | None:
    x, y = (line.metrics[name]["value"] for name in ("recall", "class_accuracy"))
    return None if x is None or y is None else (x, y)
