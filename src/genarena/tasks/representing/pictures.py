"""Pictures: codes beside floors, accuracy by the number of labels, and the nearest training images of test images."""

from collections.abc import Mapping

import torch
from torch import Tensor

from genarena.evaluation.figures import as_picture, figure
from genarena.statistics.neighbours import nearest
from genarena.tasks.base import COLUMNS, Line, Shown
from genarena.tasks.representing.codes import UNTRAINED
from genarena.tasks.representing.examples import Three
from genarena.tasks.representing.floors import OVER
from genarena.tasks.representing.probes import Bench

NEAREST = 5  # training images below each test image
OWN, PALE, FLOOR = "tab:blue", "lightsteelblue", "0.7"
PANELS = {"linear": "linear probe", "knn": "20 nearest neighbours"}


def drawn(
    lines: Mapping[str, Line], floors: Mapping[str, Line], bench: Bench, codes: Three
) -> tuple[dict[str, Tensor], dict[str, Shown]]:
    """File to picture, and to what it shows. codes: of the first line."""
    pictures = {"codes.png": accuracies(lines, floors)}
    shown = {
        "codes.png": Shown(
            text="test accuracy of codes (blue), of untrained networks (pale) and of floors (grey)", is_plot=True
        )
    }
    if len(bench.few) > 1:
        pictures["labels.png"] = by_labels(lines, floors)
        shown["labels.png"] = Shown(
            text="linear probe by labels per class, with 95% intervals over draws", is_plot=True
        )
    if bench.examples.spec.is_drawable and bench.examples.spec.is_image:
        pictures["neighbours.png"] = neighbours(bench, codes)
        rows = ("test", *(f"nearest, {rank}" for rank in range(1, NEAREST + 1)))
        shown["neighbours.png"] = Shown(rows, f"in {next(iter(lines))}")
    return pictures, shown


def accuracies(lines: Mapping[str, Line], floors: Mapping[str, Line]) -> Tensor:
    """A panel per probe, a bar per line with its interval, and a dashed line at the floor that has to be beaten; not those of
    shuffled labels."""
    every = {name: line for name, line in {**floors, **lines}.items() if OVER.keys() < line.metrics.keys()}
    made = figure(9, 0.36 * len(every) + 1.0)
    panels = made.subplots(1, len(PANELS), sharey=True)
    for panel, (probe, title) in zip(panels, PANELS.items(), strict=True):
        records = [line.metrics[probe] for line in every.values()]
        colours = [colour(name, lines) for name in every]
        values, halves = ([record[key] for record in records] for key in ("value", "ci95_half_width"))
        panel.barh(range(len(every)), values, xerr=halves, color=colours, error_kw={"linewidth": 1})
        over = floors[OVER[probe]].metrics[probe]["value"]
        panel.axvline(over, color="tab:red", linestyle="--", linewidth=1)
        panel.set_title(f"{title}; dashed: {OVER[probe]}", fontsize=9)
        least = max(0.0, min(values) - 0.4 * (1.0 - min(values)))
        panel.set_xlim(least, 1.0)
        for place, value in enumerate(values):
            panel.text(least + 0.01 * (1.0 - least), place, f"{value:.3f}", va="center", fontsize=8)
    panels[0].set_yticks(range(len(every)), every, fontsize=9)
    panels[0].invert_yaxis()
    return as_picture(made)


def colour(name: str, lines: Mapping[str, Line]) -> str:
    """Of a line: the model's, its untrained network's, or a floor's."""
    if name not in lines:
        return FLOOR
    return PALE if name.startswith(UNTRAINED) else OWN


def by_labels(lines: Mapping[str, Line], floors: Mapping[str, Line]) -> Tensor:
    """Accuracy of few-label probes over the number of labels of each class."""
    made = figure(6.5, 4)
    panel = made.subplots()
    for name, line in {**floors, **lines}.items():
        few = {int(key.removeprefix("few_")): each for key, each in line.metrics.items() if key.startswith("few_")}
        if not few:
            continue
        style = {"linewidth": 2} if colour(name, lines) == OWN else {"linewidth": 1, "linestyle": "--"}
        halves = [each["ci95_half_width"] for each in few.values()]
        panel.errorbar(list(few), [each["value"] for each in few.values()], halves, label=name, capsize=2, **style)
    panel.set_xscale("log")
    panel.set_xlabel("labels per class")
    panel.set_ylabel("accuracy of the linear probe")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)
    return as_picture(made)


def neighbours(bench: Bench, codes: Three) -> Tensor:
    """A test image of each label in turn, and below it the nearest training images: uint8 (rows * COLUMNS, C, H, W)."""
    x, y = bench.examples.x, bench.examples.y
    order = torch.arange(len(y.test))
    rank = torch.stack([(y.test[:row] == y.test[row]).sum() for row in order[: 50 * COLUMNS]])
    rows = (rank * bench.examples.num_classes + y.test[: len(rank)]).argsort(stable=True)[:COLUMNS]
    found = nearest(codes.test[rows], codes.train, NEAREST)[1]  # (COLUMNS, NEAREST)
    images = torch.cat([x.test[rows], *(x.train[column] for column in found.T)])
    levels = bench.examples.spec.num_levels
    return (images.long() * 255 // (levels - 1)).to(torch.uint8)
