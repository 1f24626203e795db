"""Which plots a table has. No script and no library draws them; texts are escaped in `plot.html.jinja`."""

from genarena.leaderboard import traces
from genarena.leaderboard.curves import Curve
from genarena.leaderboard.drawing import Plot
from genarena.leaderboard.scatter import scatter
from genarena.leaderboard.tables import Table

QUALITY = ("fid", "fd_domain", "fd_dinov2", "fd_clip", "kid")  # the first that the table has


def of_table(table: Table, curves: dict[str, dict[str, Curve]]) -> list[Plot]:
    """The plots of a table; `curves` are the training curves by the name of the line. What has no data is left out."""
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
