"""A picture of completed rows: what was filled in against the truth, for the columns with the most holes."""

from collections.abc import Mapping

from torch import Tensor

from genarena.evaluation.figures import as_picture, figure
from genarena.tasks.imputing.completed import Completed

COLUMNS = 5  # panels side by side
MOST = 60  # entries of a panel
COLOURS = ("tab:blue", "tab:gray")


def filled(made: Mapping[str, Completed], truth: Tensor, hidden: Tensor) -> Tensor:
    """uint8 (1, 3, H, W): a row of panels per method. truth, hidden: (N, D), standardised.

    A point is a hidden entry: its true value across, the estimate upwards, with a bar from the smallest to the largest draw.
    On the diagonal the estimate is right.
    """
    columns = chosen(hidden) or [0]
    drawn = figure(2.3 * len(columns), 2.3 * len(made) + 0.3)
    panels = drawn.subplots(len(made), len(columns), squeeze=False, sharex="col", sharey="col")
    for row, (name, each), colour in zip(panels, made.items(), COLOURS, strict=False):
        for place, column in zip(row, columns, strict=True):
            some = hidden[:, column].nonzero().flatten()[:MOST]
            x, y = truth[some, column].numpy(), each.fill[some, column].numpy()
            place.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle="--")
            if each.draws is not None:
                low, high = each.draws[:, some, column].amin(0).numpy(), each.draws[:, some, column].amax(0).numpy()
                place.vlines(x, low, high, color=colour, alpha=0.35, linewidth=1)
            place.plot(x, y, "o", color=colour, markersize=3)
        row[0].set_ylabel(name, fontsize=10)
    for place, column in zip(panels[0], columns, strict=True):
        place.set_title(f"column {column + 1}", fontsize=10)
    return as_picture(drawn)


def chosen(hidden: Tensor) -> list[int]:
    """At most `COLUMNS` columns that have holes, those with the most, in their order."""
    counts = hidden.sum(0)
    most = counts.argsort(descending=True, stable=True)[:COLUMNS]
    return sorted(most[counts[most] > 0].tolist())
