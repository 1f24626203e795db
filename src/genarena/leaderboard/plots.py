"""Chooses the plots of a table. They are drawn in SVG without a plotting library; `plot.html.jinja` escapes the texts."""

from pathlib import Path

from genarena.leaderboard import traces
from genarena.leaderboard.curves import Curve
from genarena.leaderboard.drawing import Plot
from genarena.leaderboard.joins import HOW
from genarena.leaderboard.scatter import Wish, scatter
from genarena.leaderboard.tables import Table

QUALITY = ("fid", "fd_domain", "fd_dinov2", "fd_clip", "kid")  # the first of these in the table is plotted
COSTS = {  # key of a cost -> what quality is plotted against
    "nfe": "network evaluations per sample",
    "sample_flops": "operations per sample",
    "sample_seconds_per_image": "sampling time",
    "train_flops": "operations of training",
    "train_seconds": "training time",
}
SIZES = ("sampling_state", "parameters")  # the first of these in the table is the size of a model: what sampling needs


def of_table(table: Table, curves: dict[Path, dict[str, Curve]]) -> dict[str, list[Plot]]:
    """Heading -> the plots of a table, without those that have no data. curves: run folder -> its validation curves."""
    costs = COSTS | {next((key for key in SIZES if key in table.column), SIZES[-1]): "size"}
    quality = next((key for key in (table.ranked_by, *QUALITY) if key in table.column and key in QUALITY), None)
    found = {
        "Training curves": traces.validation(table, curves),
        "Trade-offs": [
            scatter(table, Wish("recall", "precision", "Precision and recall", more_is_better=True, options=HOW)),
            *([scatter(table, Wish("bits_per_dim", quality, "Likelihood against quality"))] if quality else []),
            traces.bounds(table),
        ],
        "Quality against cost": [
            scatter(table, Wish(key, quality, f"Quality against {what}", options=("nfe", "steps")))
            for key, what in costs.items()
            if quality
        ],
    }
    shown = {heading: [plot for plot in plots if plot is not None] for heading, plots in found.items()}
    return {heading: plots for heading, plots in shown.items() if plots}
