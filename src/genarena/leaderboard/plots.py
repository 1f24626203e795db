"""Chooses the plots of a table. They are drawn in SVG without a plotting library; `plot.html.jinja` escapes the texts."""

from genarena.leaderboard import traces
from genarena.leaderboard.curves import Curve
from genarena.leaderboard.drawing import Plot
from genarena.leaderboard.scatter import scatter
from genarena.leaderboard.tables import Table

QUALITY = ("fid", "fd_domain", "fd_dinov2", "fd_clip", "kid")  # the first of these in the table is plotted


def of_table(table: Table, curves: dict[str, dict[str, Curve]]) -> list[Plot]:
    """The plots of a table, without those that have no data. curves: name of a line -> its training curves."""
    quality = next((key for key in QUALITY if key in table.column), None)
    plots = []
    if quality:
        plots += [
            scatter(table, "sample_seconds_per_image", quality, "Quality against sampling time"),
            scatter(table, "bits_per_dim", quality, "Likelihood against quality"),
            scatter(table, "parameters", quality, "Quality against size"),
        ]
    plots += [traces.validation(table, curves), traces.bounds(table)]
    return [plot for plot in plots if plot is not None]
