"""Pictures of composition: a row of samples per prompt, and how guidance changes each task."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from genarena.data.captions.prompted import Prompt
from genarena.evaluation.figures import as_picture, figure
from genarena.tasks.base import COLUMNS, Line, Shown
from genarena.tasks.composing.scores import APART, OVERALL, Asked

CURVE = "guidance.png"
MOST_ROWS = 10  # prompts in a grid


def chosen(asked: Asked) -> list[Prompt]:
    """One or two prompts of each task, in turn."""
    rounds = [[asked.prompts[row] for row in asked.rows(task)[:MOST_ROWS].tolist()] for task in asked.tasks]
    found = [own[place] for place in range(MOST_ROWS) for own in rounds if place < len(own)][:MOST_ROWS]
    return sorted(found, key=lambda prompt: asked.tasks.index(prompt.task))


def texts(prompts: Sequence[Prompt]) -> list[str]:
    """A text for each of the images of the grid."""
    return [prompt.text for prompt in prompts for _ in range(COLUMNS)]


def shown_in_grid(prompts: Sequence[Prompt], s: float) -> Shown:
    said = "without the text: every row is drawn from p(x)" if s == 0.0 else f"guidance s = {s:g}"
    return Shown([prompt.text for prompt in prompts], said)


def curve(lines: Mapping[float, Line], asked: Asked, floor: Line) -> Tensor:
    """uint8 (1, 3, H, W): the share of right images of each task over the strength of guidance; dotted: of images at random."""
    made = figure(7.0, 5.0)
    axes = made.add_subplot()
    for number, task in enumerate([OVERALL, *asked.tasks]):
        points = {
            s: line.metrics[task]["value"] for s, line in lines.items() if line.metrics[task]["value"] is not None
        }
        style = {"linewidth": 3.0} if task == OVERALL else {"linestyle": "--"} if task in APART else {}
        colour = "black" if task == OVERALL else f"C{number - 1}"
        axes.plot(points.keys(), points.values(), marker="o", color=colour, label=task.replace("_", " "), **style)
        axes.axhline(floor.metrics[task]["value"], color=colour, linestyle=":", linewidth=1.0)
    axes.set(xlabel="guidance s", ylabel="share of right images", ylim=(-0.03, 1.03))
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)
    return as_picture(made)
